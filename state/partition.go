package state

// Partition is the committed layer of one store partition: bytes, in memory as far as the bound goes and in the
// engine. It outlives the tasks that use it. One goroutine at a time may restore into it or commit to it; the DB applies to the
// engine beside that.
//
// P1: what Position says is always covered by the data, in memory as well as in the engine.
type Partition struct{}

// Position returns up to where the partition holds its changelog, and whether it has ever been told one. A new
// or wiped partition has none.
func (p *Partition) Position() (Position, bool) { panic("") }

// Reset empties the partition and gives it a position: where the changelog begins, usually.
func (p *Partition) Reset(pos Position) error { panic("") }

// Restore takes one changelog record as read from the log; a nil value deletes. It copies. Records are buffered and become
// part of the partition with RestoredTo, which the caller calls at the end of each batch it has fetched. A record that is not in
// the changelog's format is an error.
func (p *Partition) Restore(key, value []byte, timestamp int64) error { panic("") }

// RestoredTo makes what was restored part of the partition, atomically with the position next: the offset after the last
// record read. It blocks while the engine is behind by more than the DB's bound.
func (p *Partition) RestoredTo(next int64) error { panic("") }
