package client

import (
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
)

// FetcherConfig configures a Fetcher.
type FetcherConfig struct {
	// ReadUncommitted shows records of open and aborted transactions too. Default: read_committed.
	ReadUncommitted bool
	// MaxWait is how long the broker may hold a fetch that finds nothing (fetch.max.wait.ms). Default 200 ms.
	MaxWait time.Duration
	// MaxBytes bounds one answer (fetch.max.bytes), default 8 MiB; MaxPartitionBytes one partition's share
	// (max.partition.fetch.bytes), default 1 MiB. A batch larger than that is still fetched, alone.
	MaxBytes, MaxPartitionBytes int
	// BufferBytes bounds what was fetched and not yet released, over all partitions, default 64 MiB; PartitionBufferBytes
	// for one partition, default 4 MiB. At the bound a partition is not fetched. Each bound may be overshot by one answer.
	BufferBytes, PartitionBufferBytes int
}

// Fetched is news of one partition.
type Fetched struct {
	TopicPartition
	// Batch are the records, nil if only the ends have moved, or with Err. Whoever gets it releases it.
	Batch task.Batch
	// HighWatermark, LastStable and LogStart are the partition's offsets as of this answer.
	HighWatermark, LastStable, LogStart int64
	// Lag is how many offsets there are to read beyond Batch: 0 means that the broker has nothing more.
	Lag int64
	// Err ends the fetching of the partition until it is added again: *OutOfRangeError, *TruncatedError,
	// *RecreatedError, *recordbatch.CorruptError, or what the broker said for good.
	Err error
}

// Fetcher reads partitions with its own connections.
type Fetcher struct{}

// NewFetcher returns a Fetcher without partitions.
func NewFetcher(c *Client, cfg FetcherConfig) (*Fetcher, error) { return nil, errPending }

// Add starts fetching tp at offset. Adding it again moves it; nothing that was fetched before is handed out any more.
func (f *Fetcher) Add(tp TopicPartition, offset int64) {}

// Remove stops fetching tp. Nothing of it is handed out any more. Batches handed out before stay valid.
func (f *Fetcher) Remove(tp TopicPartition) {}

// Pause stops fetching tp until Resume. What has been fetched is still handed out.
func (f *Fetcher) Pause(tp TopicPartition) {}

// Resume goes on with tp.
func (f *Fetcher) Resume(tp TopicPartition) {}

// Ready has a value when Take may have something new.
func (f *Fetcher) Ready() <-chan struct{} { return nil }

// Take appends what has been fetched to dst, in offset order for each partition, and does not wait.
func (f *Fetcher) Take(dst []Fetched) []Fetched { return dst }

// Close stops the goroutines and closes the connections. Batches handed out stay valid.
func (f *Fetcher) Close() {}
