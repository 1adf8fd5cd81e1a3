package client

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
)

// ProducerConfig configures a Producer.
type ProducerConfig struct {
	// TransactionalID fences older producers of the same id. Empty: an idempotent producer without transactions.
	TransactionalID string
	// TransactionTimeout is after what the coordinator aborts a transaction that nobody ends (transaction.timeout.ms).
	// Default 10 s, as Kafka Streams.
	TransactionTimeout time.Duration
	// DeliveryTimeout bounds how long a batch is tried (delivery.timeout.ms). Default 30 s.
	DeliveryTimeout time.Duration
	// MaxBatchBytes is the largest batch. Default recordbatch.DefaultMaxBytes.
	MaxBatchBytes int
	// MaxRequestBytes bounds the batches of one Produce request. Default 8 MiB.
	MaxRequestBytes int
	// MaxBufferedBytes bounds the batches that were sent and are not acknowledged yet; Send waits at it. Default 32 MiB.
	MaxBufferedBytes int
}

// Producer writes record batches with its own connections. It belongs to one goroutine.
//
// With a transactional id a transaction begins at the first Send or CommitOffsets after Init or End.
type Producer struct{}

// NewProducer returns a producer that uses c's versions and metadata. It sends nothing before Init.
func NewProducer(c *Client, cfg ProducerConfig) (*Producer, error) { return nil, errPending }

// Init starts a producer session: it gets a producer id and epoch, fences older sessions of the transactional id, and
// settles the transaction that they left: completed if its commit was decided, else aborted. It may be called again at
// any time and forgets all that was sent and not ended before.
func (p *Producer) Init(ctx context.Context) error { return errPending }

// Builder returns an empty batch builder from the producer's free list.
func (p *Producer) Builder() *recordbatch.Builder { return nil }

// Send takes over b, a batch of at least one record, and sends it in the background; it comes back to Builder's free
// list. Batches of a partition are written in the order of Send. It waits only while MaxBufferedBytes are under way.
//
// An error is the first one of any batch since Init or End; it stays until then.
func (p *Producer) Send(ctx context.Context, tp TopicPartition, b *recordbatch.Builder) error {
	return errPending
}

// Flush waits until every batch is acknowledged and returns the first error of any.
func (p *Producer) Flush(ctx context.Context) error { return errPending }

// Next returns the offset after the last batch of tp that was acknowledged in this transaction (without transactions:
// since Init), and whether there was one.
func (p *Producer) Next(tp TopicPartition) (int64, bool) { return 0, false }

// CommitOffsets adds the offsets to the transaction.
func (p *Producer) CommitOffsets(ctx context.Context, id Identity, offsets map[TopicPartition]Committed) error {
	return errPending
}

// InTransaction reports whether there is something to end: a batch or offsets were sent.
func (p *Producer) InTransaction() bool { return false }

// End commits or aborts the transaction. Without one it does nothing. Before a commit everything must have been flushed.
// An error of a commit that is not ClassAbort or ClassFenced leaves the outcome unknown: go on with Init.
func (p *Producer) End(ctx context.Context, commit bool) error { return errPending }

// Close stops the senders and closes the connections. An open transaction is left to its time-out or the next Init.
func (p *Producer) Close() {}
