package commitlog

// Partition is one log of record batches. Its methods may be called from any goroutine.
type Partition struct{}

// Isolation is Kafka's isolation level.
type Isolation int8

const (
	// ReadUncommitted reads up to the high watermark.
	ReadUncommitted Isolation = 0
	// ReadCommitted reads up to the last stable offset, with the aborted transactions named.
	ReadCommitted Isolation = 1
)

// Offsets are a partition's offsets at one moment: LogStart <= LastStable <= HighWatermark <= End.
type Offsets struct {
	LogStart, LastStable, HighWatermark, End int64
}

// Offsets returns the partition's offsets.
func (p *Partition) Offsets() Offsets { return Offsets{} }

// LeaderEpoch returns the leader epoch that batches are stored with. It is 0 as long as no acknowledged data was cut.
func (p *Partition) LeaderEpoch() int32 { return 0 }

// EpochEnd returns the last leader epoch at or below epoch, and the offset after its last record (OffsetForLeaderEpoch).
// ok is false if the epoch is not known.
func (p *Partition) EpochEnd(epoch int32) (found int32, end int64, ok bool) { return 0, 0, false }
