package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
)

// ProducerConfig configures a Producer.
type ProducerConfig struct {
	// TransactionalID fences older producers of the same id. Empty: an idempotent producer without transactions.
	TransactionalID string
	// TransactionTimeout is after what the coordinator aborts a transaction that nobody ends (transaction.timeout.ms).
	// Default 10 s, as Kafka Streams.
	TransactionTimeout time.Duration
	// DeliveryTimeout bounds how long a batch is tried (delivery.timeout.ms): then it is refused, see Refusal. With transactions it has to
	// be shorter than their time-out, or that comes first. Default 30 s, at most two thirds of TransactionTimeout.
	DeliveryTimeout time.Duration
	// BatchBytes is the size at which a batch is full (batch.size). Default 256 KiB.
	BatchBytes int
	// Compression is how batches are compressed (compression.type). Default: not at all.
	Compression recordbatch.Codec
	// MaxBatchBytes bounds a batch of one large record (max.request.size). Default recordbatch.DefaultMaxBytes.
	MaxBatchBytes int
	// MaxRequestBytes bounds the batches of one Produce request: smaller ones stay in the processor's caches. Default 2 MiB.
	MaxRequestBytes int
	// MaxBufferedBytes bounds the batches that were sent and are not acknowledged yet (buffer.memory); Send waits at it.
	// Default 32 MiB.
	MaxBufferedBytes int
}

func (cfg *ProducerConfig) setDefaults() {
	setDefault(&cfg.TransactionTimeout, 10*time.Second)
	setDefault(&cfg.DeliveryTimeout, 30*time.Second)
	if cfg.TransactionalID != "" {
		cfg.DeliveryTimeout = min(cfg.DeliveryTimeout, cfg.TransactionTimeout*2/3)
	}
	setDefault(&cfg.BatchBytes, 256<<10)
	setDefault(&cfg.MaxBatchBytes, recordbatch.DefaultMaxBytes)
	setDefault(&cfg.MaxRequestBytes, 2<<20)
	setDefault(&cfg.MaxBufferedBytes, 32<<20)
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Producer writes record batches with its own connections. Its methods belong to one goroutine; sender goroutines, one for
// each leader, send what Send queued.
//
// With a transactional id a transaction begins at the first Send or CommitOffsets after Init or End.
//
// At most one request is under way to each leader, with at most one batch of each partition: a broker answers the requests
// of one connection one after the other anyway, and a batch that is sent again cannot overtake another (N2).
//
// Offsets are sent beside the batches, until the log shows that it cannot take that. Kafka has the coordinator look at what a transaction
// writes to for the first time, and drops one look for another of the same transaction (KIP-890): the batches would be tried again after a pause,
// in nearly every transaction. From then on offsets wait for the batches.
//
// A batch that the log refuses stops its partition alone, until somebody has decided about it: see Refusals.
type Producer struct {
	c        *Client
	cfg      ProducerConfig
	conn     *kgo.Client
	throttle *throttle
	crew     *crew
	refused  atomic.Int32 // partitions that stand still; changed under mu

	mu struct {
		sync.Mutex
		session  session
		inited   bool
		open     bool // there is a transaction to end
		touched  bool // the log may know of it: a request for it was sent
		offsets  bool // the group is in the transaction (AddOffsetsToTxn; version 1 only)
		offered  bool // offsets were sent in this transaction
		apart    bool // offsets are sent when all batches are answered
		draining bool // senders begin nothing
		busy     int  // lanes that a sender works on
		buffered int  // bytes of batches sent and not acknowledged
		lanes    map[TopicPartition]*lane
		order    []*lane // in the order they were first used
		free     []*recordbatch.Builder
		idle     int           // memory that free holds, in bytes
		err      error         // first failure since Init or End
		changed  chan struct{} // closed and replaced at each change
		closed   bool
	}
}

// session is what fences an older producer.
type session struct {
	id    int64
	epoch int16
}

// lane is the queue of one partition. The goroutine that made it busy reads it without the lock, except for pending, which
// Send appends to.
type lane struct {
	tp        TopicPartition
	topicID   [16]byte
	leader    int32
	pending   []*recordbatch.Builder // in order; the first may be under way
	sending   *recordbatch.Builder   // the first, while busy
	busy      bool
	sequence  int32 // of the first pending batch
	inTxn     bool  // the partition is in the transaction (AddPartitionsToTxn; version 1 only)
	tries     int   // of the first pending batch
	unsure    bool  // one of them had no answer, or one that may follow an append: the log may hold the batch
	refusal   *Refusal
	since     time.Time
	notBefore time.Time
	acked     bool
	next      int64 // offset after the last acknowledged batch, if acked
}

var (
	errNotInitialised = errors.New("producer has no session; call Init")
	errUnflushed      = errors.New("transaction has batches that are not acknowledged")
)

// NewProducer returns a producer that uses c's versions and metadata. It sends nothing before Init.
func NewProducer(c *Client, cfg ProducerConfig) (*Producer, error) {
	cfg.setDefaults()
	if !cfg.Compression.Valid() {
		return nil, fmt.Errorf("compression with %v is not known", cfg.Compression)
	}
	conn, throttle, err := c.open()
	if err != nil {
		return nil, doing(err, "open connections of a producer")
	}
	p := &Producer{c: c, cfg: cfg, conn: conn, throttle: throttle}
	p.mu.lanes = make(map[TopicPartition]*lane)
	p.mu.changed = make(chan struct{})
	p.crew = newCrew(p.work)
	return p, nil
}

// SetMaxBufferedBytes changes ProducerConfig.MaxBufferedBytes. It may be called by any goroutine.
func (p *Producer) SetMaxBufferedBytes(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.MaxBufferedBytes = n
	p.broadcastLocked()
}

// Builder returns an empty batch builder from the producer's free list.
func (p *Producer) Builder() *recordbatch.Builder {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.mu.free); n > 0 {
		b := p.mu.free[n-1]
		p.mu.free = p.mu.free[:n-1]
		p.mu.idle -= b.Cap()
		return b
	}
	b := recordbatch.NewBuilder(p.cfg.BatchBytes, p.cfg.MaxBatchBytes)
	b.Compress(p.cfg.Compression)
	return b
}

// Send takes over b, a batch of at least one record, and sends it in the background; it comes back to Builder's free
// list. Batches of a partition are written in the order of Send. It waits only while MaxBufferedBytes are under way.
//
// While a refusal waits for its decision, Send does not wait: who has to decide may be who sends.
//
// An error is the first one of any batch since Init or End; it stays until then. A refusal is none.
func (p *Producer) Send(ctx context.Context, tp TopicPartition, b *recordbatch.Builder) error {
	err := p.await(ctx, func() bool {
		return p.mu.buffered == 0 || p.mu.buffered+b.Bytes() <= p.cfg.MaxBufferedBytes || p.refused.Load() > 0
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && !p.mu.inited {
		err = withClass(errNotInitialised, ClassUnknown)
	}
	if err != nil {
		p.recycleLocked(b)
		return err
	}
	p.beginLocked()
	l, ok := p.mu.lanes[tp]
	if !ok {
		l = &lane{tp: tp, leader: noLeader}
		p.mu.lanes[tp] = l
		p.mu.order = append(p.mu.order, l)
	}
	l.pending = append(l.pending, b)
	p.mu.buffered += b.Bytes()
	p.crew.wake(l.leader)
	return nil
}

// Flush waits until every batch is acknowledged and returns the first error of any. It returns ErrRefused as soon as something is
// refused: it is to be called again when that is decided.
func (p *Producer) Flush(ctx context.Context) error {
	err := p.await(ctx, p.settledLocked)
	if err == nil && p.refused.Load() > 0 {
		return ErrRefused
	}
	return err
}

// settledLocked reports whether every batch is acknowledged, or something is refused.
func (p *Producer) settledLocked() bool {
	return p.mu.buffered == 0 && p.mu.busy == 0 || p.refused.Load() > 0
}

// Next returns the offset after the last batch of tp that was acknowledged in this transaction, or, until the next one
// begins, in the last one (without transactions: since Init), and whether there was one.
func (p *Producer) Next(tp TopicPartition) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.mu.lanes[tp]
	if !ok || !l.acked {
		return 0, false
	}
	return l.next, true
}

// Close stops the senders and closes the connections. An open transaction is left to its time-out or the next Init.
func (p *Producer) Close() {
	p.mu.Lock()
	p.mu.closed = true
	if p.mu.err == nil {
		p.mu.err = ErrClosed
	}
	p.broadcastLocked()
	p.mu.Unlock()
	p.crew.close()
	p.conn.Close()
}

// await waits until ok, called under the lock, holds, or something has failed.
func (p *Producer) await(ctx context.Context, ok func() bool) error {
	for {
		p.mu.Lock()
		err, done, changed := p.mu.err, ok(), p.mu.changed
		p.mu.Unlock()
		if err != nil || done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return withClass(ctx.Err(), ClassAbort)
		}
	}
}

// drain keeps the senders from beginning anything and waits for what is under way (N3). Then it drops what was queued.
func (p *Producer) drain(ctx context.Context) error {
	p.mu.Lock()
	p.mu.draining = true
	p.mu.Unlock()
	for {
		p.mu.Lock()
		if p.mu.closed {
			p.mu.Unlock()
			return ErrClosed
		}
		if p.mu.busy == 0 {
			for _, l := range p.mu.order {
				for i, b := range l.pending {
					if i > 0 || !l.unsure { // as in dequeueLocked
						p.recycleLocked(b)
					}
				}
				l.pending, l.tries, l.unsure, l.notBefore, l.refusal = nil, 0, false, time.Time{}, nil
			}
			p.refused.Store(0)
			p.mu.buffered = 0
			p.mu.Unlock()
			return nil
		}
		changed := p.mu.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return withClass(doing(ctx.Err(), "wait for batches under way"), ClassUnknown)
		}
	}
}

func (p *Producer) beginLocked() {
	if p.mu.open || p.cfg.TransactionalID == "" {
		return
	}
	p.mu.open = true
	for _, l := range p.mu.order {
		l.acked = false
	}
}

func (p *Producer) broadcastLocked() {
	close(p.mu.changed)
	p.mu.changed = make(chan struct{})
}

// recycleLocked keeps b for Builder, if those kept do not hold what MaxBufferedBytes of batches need yet: half as much again, for they
// are not full.
func (p *Producer) recycleLocked(b *recordbatch.Builder) {
	if p.mu.idle+b.Cap() > max(p.cfg.MaxBufferedBytes+p.cfg.MaxBufferedBytes/2, p.cfg.BatchBytes) || b.Cap() > 2*p.cfg.BatchBytes {
		return
	}
	b.Reset()
	p.mu.free = append(p.mu.free, b)
	p.mu.idle += b.Cap()
}
