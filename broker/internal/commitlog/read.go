package commitlog

// ReadOptions bound a read.
type ReadOptions struct {
	// MaxBytes bounds the batches returned.
	MaxBytes int
	// MinOneBatch returns the first batch even if it is larger than MaxBytes.
	MinOneBatch bool
	Isolation   Isolation
}

// ReadResult is what a read found. The offsets are set in every case, with ErrOffsetOutOfRange too.
type ReadResult struct {
	Offsets
	// Batches are whole batches, byte for byte as stored, in offset order; each slice holds one or more. Nobody may change
	// them. Nothing to read gives none, and no error.
	Batches [][]byte
	// Bytes is the length of Batches.
	Bytes int
	// Aborted names, for ReadCommitted, every aborted transaction with data at or above the offset that was asked for and
	// below the end of Batches, sorted by first offset.
	Aborted []AbortedTxn
}

// AbortedTxn is an aborted transaction on a partition: its data are the transactional batches of ProducerID from FirstOffset
// to the abort marker.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
}

// Read returns batches from the one that holds offset on. The offset may lie inside of a batch: the whole batch is returned.
//
// Errors: ErrOffsetOutOfRange if offset is below the log start or above the end offset; ErrUnknownTopic if the topic was
// deleted; a *CorruptionError if the stored bytes are damaged; or what reading the segment returned.
func (p *Partition) Read(offset int64, o ReadOptions) (ReadResult, error) {
	return ReadResult{}, ErrClosed
}

// TimestampOffset is a record found by its timestamp. Offset and Timestamp are -1 if there is none.
type TimestampOffset struct {
	Offset, Timestamp int64
	LeaderEpoch       int32
}

// OffsetForTimestamp returns the first record with a timestamp of at least ts (milliseconds), below the high watermark or the
// last stable offset. It is exact, also inside of a compressed batch.
func (p *Partition) OffsetForTimestamp(ts int64, iso Isolation) (TimestampOffset, error) {
	return TimestampOffset{}, ErrClosed
}

// OffsetForMaxTimestamp returns the first record with the highest timestamp, below the high watermark or the last stable
// offset.
func (p *Partition) OffsetForMaxTimestamp(iso Isolation) (TimestampOffset, error) {
	return TimestampOffset{}, ErrClosed
}
