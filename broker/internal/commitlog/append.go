package commitlog

// AppendOptions go with an appended batch.
type AppendOptions struct {
	// Begin opens the producer's transaction on the partition in the same entry (the implicit add of transaction version 2).
	// The batch must be transactional. It is idempotent.
	Begin bool
	// Records go into the same entry as the batch: both or neither. The caller holds the locks of their machines. Nothing is
	// replayed when the batch is refused or a duplicate.
	Records []Record
}

// AppendResult is the place of an appended batch.
type AppendResult struct {
	BaseOffset int64
	// LogAppendTime is the broker's time in milliseconds if the topic has message.timestamp.type=LogAppendTime, else -1.
	LogAppendTime int64
	LogStart      int64
	// LSN is to be waited for before answering with acks=all. For a duplicate it is the original's.
	LSN LSN
	// Duplicate: the batch was appended before, and nothing was appended now.
	Duplicate bool
}

// Append checks raw, which must be one version 2 record batch as a producer made it, assigns its offset and enqueues it.
// It returns before the batch is durable: see AppendResult.LSN. A waiting time before the entry is taken, when the disk cannot
// keep up, is spent in here.
//
// The log keeps raw and has it patched in place (base offset, leader epoch; with LogAppendTime or a false maximum
// timestamp also that, and the checksum): the caller must not touch it any more, whatever the result. raw's backing array lives as
// long as the batch is held in memory, so a caller with many small batches in one buffer copies them out.
//
// The errors are those of this package; each refers to this batch only, but for ErrStopped and ErrClosed.
func (p *Partition) Append(raw []byte, o AppendOptions) (AppendResult, error) {
	return AppendResult{}, ErrClosed
}
