package state

// Bugs that are planted on purpose with the tag "planted", one at a time, as the environment variable MILLRACE_PLANTED says, to prove
// that the conformance suite sees such ones. (Package planted of the runtime has those that its simulation is to see; one of them,
// position-apart, is here too.)
const (
	plantedComplete  = "bucket-complete" // a bucket from which entries have left memory is believed to be complete (against P3)
	plantedTombstone = "tombstone-lost"  // a scan that merges shows what a tombstone hides
	plantedAliased   = "value-aliased"   // an object that was handed over stays a store's value over the commit (against T2)
	plantedExpiry    = "expiry-early"    // retention drops the oldest bucket that is still kept
)
