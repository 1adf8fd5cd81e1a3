package recordbatch

import "github.com/millrace-io/millrace/topology"

// Fetched is one partition's share of a Fetch answer.
type Fetched struct {
	Records []byte // the record set; the Reader takes it over
	From    int64  // the offset that was asked for; records before it are left out
	// ReadCommitted leaves out the records of aborted transactions, which Aborted names as the answer did, in any order.
	ReadCommitted bool
	Aborted       []Aborted
	// Released is called once, by Release. It may be nil.
	Released func()
}

// Aborted names a transaction that was aborted: all transactional batches of the producer from FirstOffset up to its
// next abort marker.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
}

// Reader reads a record set. It implements task.Batch.
type Reader struct {
	f   Fetched
	end int64
}

// NewReader checks the frames and checksums of all batches and returns a Reader over them, or a *CorruptError. An incomplete
// last batch is left out, as the protocol allows; End then lies before it. The record set must hold a complete batch.
func NewReader(f Fetched) (*Reader, error) { return &Reader{f: f}, nil }

// Next moves to the next record and fills r. See task.Batch.
func (r *Reader) Next(raw *topology.Raw) (bool, error) { return false, nil }

// End returns the offset after the last batch.
func (r *Reader) End() int64 { return r.end }

// LeaderEpoch returns the leader epoch of the batch that Next last read from, -1 if unknown.
func (r *Reader) LeaderEpoch() int32 { return -1 }

// Bytes returns the memory it holds.
func (r *Reader) Bytes() int { return len(r.f.Records) }

// Release gives the memory back. Slices that Next handed out are invalid from now on.
func (r *Reader) Release() {}
