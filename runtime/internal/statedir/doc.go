// Package statedir owns the directory in which one instance of one application keeps what survives a restart.
//
//	<state dir>/<application id>/
//	  lock            held by the process that runs the instance
//	  instance.json   format version, instance id, recorded transactional slots
//	  state/          the state database
//
// Nouns: the instance id is drawn once, at random, and persisted; with a slot number it makes a transactional id, so that
// a restarted instance fences its own past at once. A slot is the place of one worker; slots that were ever used stay
// recorded until their transactional ids have been initialised again, so that an instance that comes back with fewer
// workers leaves no transaction of its past open.
//
// Invariants:
//
//	D1  one process at a time: Open fails with ErrLocked while another holds the directory, and touches nothing.
//	D2  a slot is recorded, durably, before its transactional id is first used.
//	D3  instance.json is replaced whole (written aside, synced, renamed), never changed in place.
//
// A Dir is used by one goroutine at a time.
package statedir
