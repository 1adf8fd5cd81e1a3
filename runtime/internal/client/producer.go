package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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
	// BatchBytes is the size at which a batch is full (batch.size). Default 256 KiB.
	BatchBytes int
	// MaxBatchBytes bounds a batch of one large record (max.request.size). Default recordbatch.DefaultMaxBytes.
	MaxBatchBytes int
	// MaxRequestBytes bounds the batches of one Produce request. Default 8 MiB.
	MaxRequestBytes int
	// MaxBufferedBytes bounds the batches that were sent and are not acknowledged yet (buffer.memory); Send waits at it.
	// Default 32 MiB.
	MaxBufferedBytes int
}

func (cfg *ProducerConfig) setDefaults() {
	setDefault(&cfg.TransactionTimeout, 10*time.Second)
	setDefault(&cfg.DeliveryTimeout, 30*time.Second)
	setDefault(&cfg.BatchBytes, 256<<10)
	setDefault(&cfg.MaxBatchBytes, recordbatch.DefaultMaxBytes)
	setDefault(&cfg.MaxRequestBytes, 8<<20)
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
type Producer struct {
	c    *Client
	cfg  ProducerConfig
	conn *kgo.Client
	crew *crew

	mu struct {
		sync.Mutex
		session  session
		inited   bool
		open     bool // there is a transaction to end
		touched  bool // the log may know of it: a request for it was sent
		offsets  bool // the group is in the transaction (AddOffsetsToTxn; version 1 only)
		draining bool // senders begin nothing
		busy     int  // lanes that a sender works on
		buffered int  // bytes of batches sent and not acknowledged
		lanes    map[TopicPartition]*lane
		order    []*lane // in the order they were first used
		free     []*recordbatch.Builder
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
	conn, err := c.open()
	if err != nil {
		return nil, doing(err, "open connections of a producer")
	}
	p := &Producer{c: c, cfg: cfg, conn: conn}
	p.mu.lanes = make(map[TopicPartition]*lane)
	p.mu.changed = make(chan struct{})
	p.crew = newCrew(p.work)
	return p, nil
}

// Builder returns an empty batch builder from the producer's free list.
func (p *Producer) Builder() *recordbatch.Builder {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.mu.free); n > 0 {
		b := p.mu.free[n-1]
		p.mu.free = p.mu.free[:n-1]
		return b
	}
	return recordbatch.NewBuilder(p.cfg.BatchBytes, p.cfg.MaxBatchBytes)
}

// Send takes over b, a batch of at least one record, and sends it in the background; it comes back to Builder's free
// list. Batches of a partition are written in the order of Send. It waits only while MaxBufferedBytes are under way.
//
// An error is the first one of any batch since Init or End; it stays until then.
func (p *Producer) Send(ctx context.Context, tp TopicPartition, b *recordbatch.Builder) error {
	err := p.await(ctx, func() bool {
		return p.mu.buffered == 0 || p.mu.buffered+b.Bytes() <= p.cfg.MaxBufferedBytes
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

// Flush waits until every batch is acknowledged and returns the first error of any.
func (p *Producer) Flush(ctx context.Context) error {
	return p.await(ctx, func() bool { return p.mu.buffered == 0 && p.mu.busy == 0 })
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
				for _, b := range l.pending {
					p.recycleLocked(b)
				}
				l.pending, l.tries, l.notBefore = nil, 0, time.Time{}
			}
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

// recycleLocked keeps b for Builder, if there are not yet enough to fill the buffer.
func (p *Producer) recycleLocked(b *recordbatch.Builder) {
	if len(p.mu.free) >= max(1, p.cfg.MaxBufferedBytes/p.cfg.BatchBytes) || b.Cap() > 2*p.cfg.BatchBytes {
		return
	}
	b.Reset()
	p.mu.free = append(p.mu.free, b)
}

// work sends one round of batches to a node, or looks for the leaders of those that have none. See crew.
func (p *Producer) work(ctx context.Context, node int32) time.Duration {
	round, s, wait := p.take(node)
	switch {
	case len(round) == 0:
		return wait
	case node == noLeader:
		p.lookUp(ctx, round)
	default:
		p.produce(ctx, node, s, round)
	}
	return 0
}

// take makes the lanes busy that have something to send to the node now. With none, it returns how long to wait.
func (p *Producer) take(node int32) (round []*lane, s session, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait = -1
	if p.mu.draining || p.mu.err != nil {
		return nil, session{}, wait
	}
	now, bytes := time.Now(), 0
	for _, l := range p.mu.order {
		if l.leader != node || l.busy || len(l.pending) == 0 {
			continue
		}
		if early := l.notBefore.Sub(now); early > 0 {
			if wait < 0 || early < wait {
				wait = early
			}
			continue
		}
		if bytes += l.pending[0].Bytes(); len(round) > 0 && bytes > p.cfg.MaxRequestBytes {
			break
		}
		if l.tries == 0 {
			l.since = now
		}
		l.busy, l.sending = true, l.pending[0]
		round = append(round, l)
	}
	if n := len(round); n > 0 && n < len(p.mu.order) {
		p.rotateLocked(round[n-1])
	}
	p.mu.busy += len(round)
	p.mu.touched = p.mu.touched || len(round) > 0 && node != noLeader
	return round, p.mu.session, wait
}

// rotateLocked puts the lanes up to last behind the others, so that a full request starves none.
func (p *Producer) rotateLocked(last *lane) {
	i := slices.Index(p.mu.order, last) + 1
	p.mu.order = slices.Concat(p.mu.order[i:], p.mu.order[:i])
}

// lookUp finds the leaders of the round's partitions. After a failure it asks the log, not the memory.
func (p *Producer) lookUp(ctx context.Context, round []*lane) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var names []string
	tried := false
	for _, l := range round {
		tried = tried || l.tries > 0
		if !slices.Contains(names, l.tp.Topic) {
			names = append(names, l.tp.Topic)
		}
	}
	var topics map[string]Topic
	var err error
	if tried {
		topics, err = p.c.refreshTopics(ctx, p.conn, names)
	} else {
		topics, err = p.c.Topics(ctx, names...)
	}
	for _, l := range round {
		failure := err
		if err == nil {
			t, ok := topics[l.tp.Topic]
			l.topicID = t.ID
			leader := t.leader(l.tp.Partition).Leader
			switch {
			case !ok:
				failure = doing(errNoTopic, "topic %q", l.tp.Topic)
			case int(l.tp.Partition) >= len(t.Partitions):
				failure = fmt.Errorf("topic %q has %d partitions: %w", l.tp.Topic, len(t.Partitions), errNoTopic)
			case leader < 0:
				failure = errNoLeader
			default:
				p.found(l, leader)
				continue
			}
		}
		p.settle(l, 0, failure)
	}
}

var (
	errNoTopic  = errors.New("no such topic or partition")
	errNoLeader = errors.New("partition has no leader")
)

// found gives a lane its leader.
func (p *Producer) found(l *lane, leader int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.leader, l.busy = leader, false
	p.mu.busy--
	p.broadcastLocked()
	p.crew.wake(leader)
}

// produce sends the first batch of each lane.
func (p *Producer) produce(ctx context.Context, node int32, s session, round []*lane) {
	transactional := p.cfg.TransactionalID != ""
	if transactional && !p.c.v2 {
		if err := p.addPartitions(ctx, s, round); err != nil {
			for _, l := range round {
				p.settle(l, 0, err)
			}
			return
		}
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks = -1
	req.TimeoutMillis = int32(requestTimeout.Milliseconds())
	if transactional {
		req.TransactionID = kmsg.StringPtr(p.cfg.TransactionalID)
	}
	slices.SortFunc(round, func(a, b *lane) int { return compare(a.tp, b.tp) })
	for _, l := range round {
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != l.tp.Topic {
			rt := kmsg.NewProduceRequestTopic()
			rt.Topic, rt.TopicID = l.tp.Topic, l.topicID
			req.Topics = append(req.Topics, rt)
		}
		rt := &req.Topics[len(req.Topics)-1]
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition = l.tp.Partition
		rp.Records = l.sending.Finish(recordbatch.Producer{ID: s.id, Epoch: s.epoch, Sequence: l.sequence, Transactional: transactional})
		rt.Partitions = append(rt.Partitions, rp)
	}
	resp, err := p.conn.Broker(int(node)).Request(ctx, req)
	answers := make(map[TopicPartition]*kmsg.ProduceResponseTopicPartition, len(round))
	if err == nil {
		collectProduced(resp.(*kmsg.ProduceResponse), round, answers)
	}
	for _, l := range round {
		a, ok := answers[l.tp]
		switch {
		case err != nil:
			p.settle(l, 0, withRetry(answered(err, 0)))
		case !ok:
			p.settle(l, 0, errNoAnswer)
		default:
			p.settle(l, a.BaseOffset, produceError(a))
		}
	}
}

var errNoAnswer = errors.New("the answer leaves the partition out")

// withRetry marks a failure of the transport: the same batch may be sent again, since the broker knows it by its sequence.
func withRetry(err error) error {
	if errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled) {
		return err
	}
	return withClass(err, ClassRetry)
}

func produceError(a *kmsg.ProduceResponseTopicPartition) error {
	err := answered(nil, a.ErrorCode)
	if err != nil && a.ErrorMessage != nil && *a.ErrorMessage != "" {
		return fmt.Errorf("%w (%s)", err, *a.ErrorMessage)
	}
	return err
}

// collectProduced maps the answers by partition; from version 13 on they name topics by id.
func collectProduced(resp *kmsg.ProduceResponse, round []*lane, into map[TopicPartition]*kmsg.ProduceResponseTopicPartition) {
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		name := rt.Topic
		if name == "" {
			for _, l := range round {
				if l.topicID == rt.TopicID {
					name = l.tp.Topic
					break
				}
			}
		}
		for j := range rt.Partitions {
			rp := &rt.Partitions[j]
			into[TopicPartition{Topic: name, Partition: rp.Partition}] = rp
		}
	}
}

// settle takes the outcome of a lane's first batch.
func (p *Producer) settle(l *lane, base int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.broadcastLocked()
	l.busy = false
	p.mu.busy--
	now := time.Now()
	switch {
	case err == nil:
		b := l.pending[0]
		n := int64(b.Len())
		l.pending = slices.Delete(l.pending, 0, 1)
		l.sequence = nextSequence(l.sequence, n)
		l.acked, l.next = true, base+n
		l.tries, l.notBefore = 0, time.Time{}
		p.mu.buffered -= b.Bytes()
		p.recycleLocked(b)
	case ClassOf(err) == ClassRetry && now.Sub(l.since) < p.cfg.DeliveryTimeout:
		l.tries++
		l.notBefore = now.Add(waitAfter(l.tries, err))
		if ofLeader(err) {
			l.leader = noLeader
		}
	default:
		if p.mu.err == nil {
			p.mu.err = p.failed(l, err)
		}
		return
	}
	if len(l.pending) > 0 {
		p.crew.wake(l.leader)
	}
}

// nextSequence returns the sequence after n records, which goes on with 0 after the largest one.
func nextSequence(sequence int32, n int64) int32 { return int32((int64(sequence) + n) & math.MaxInt32) }

// failed is the error that sticks after a batch could not be written.
func (p *Producer) failed(l *lane, err error) error {
	err = doing(err, "produce to %s-%d", l.tp.Topic, l.tp.Partition)
	if ClassOf(err) == ClassRetry { // for too long
		return withClass(fmt.Errorf("%w (tried %d times in %v)", err, l.tries+1, p.cfg.DeliveryTimeout), ClassAbort)
	}
	return err
}
