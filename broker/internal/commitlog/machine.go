package commitlog

import "sync"

// MachineID names a machine on disk. It also is the lock order: a coordinator that holds two machines has locked the lower
// id first.
type MachineID uint8

// Machine is replicated coordinator state: a state machine whose inputs are records that went through the journal. Its lock
// guards the state. The coordinator takes it, decides, and passes the records to Commit or Append, which make them durable
// and replay them, all under the one lock.
type Machine interface {
	sync.Locker
	// Replay applies one record. It is the only thing that changes the state, live and in recovery: it reads no clock,
	// does no I/O and does not call the log. record is valid during the call only. The lock is held by the caller, except
	// in recovery, where nobody else is there.
	//
	// An error means that the record cannot have been made by this machine: the log stops, or refuses to open.
	Replay(record []byte) error
	// Snapshot emits records that rebuild the present state when they are replayed, in order, into a new machine. emit
	// copies the record. The lock is held by the caller.
	Snapshot(emit func(record []byte) error) error
}

// Record is one record for one machine.
type Record struct {
	Machine MachineID
	Data    []byte
}
