package txn

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	// MaxTimeout is the longest transaction that a producer may ask for (transaction.max.timeout.ms).
	MaxTimeout = 15 * time.Minute

	// IDExpiry is after how long an id that nobody uses is forgotten (transactional.id.expiration.ms).
	IDExpiry = 7 * 24 * time.Hour

	// maxTransactionalIDs bounds the coordinator's memory.
	maxTransactionalIDs = 100_000
	// lastEpoch is the highest epoch that a producer gets (T5). One more fences it.
	lastEpoch = 1<<15 - 2
	// none stands for no producer id, or no epoch.
	none = -1
	// producerBlock is how many producer ids are reserved at a time (T1).
	producerBlock = 1000
)

// Partition names a partition by its topic's id.
type Partition struct {
	Topic [16]byte
	Index int32
}

func comparePartitions(a, b Partition) int {
	return cmp.Or(slices.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
}

// Producer is a producer id with one of its epochs.
type Producer struct {
	ID    int64
	Epoch int16
}

// Effects is what must happen because of a request, all of it in one journal entry.
type Effects struct {
	// Records are to be replayed, in this order.
	Records [][]byte
	// Begin opens Producer's transaction on partitions.
	Begin []Partition
	// Producer is whose transaction Begin opens.
	Producer Producer
	// Ends are the transactions that end.
	Ends []End
}

// End is the end of one transaction: a marker for each partition, and its group offsets applied or dropped.
type End struct {
	// Producer is whose transaction it was; the epoch is the markers', which fences lower ones.
	Producer   Producer
	Commit     bool
	Partitions []Partition
}

// lastEnd is how a client ended its last transaction: an EndTxn that repeats it is a retry (T4).
type lastEnd struct {
	producer Producer // as in the request
	commit   bool
}

// transaction is the state of one transactional id.
type transaction struct {
	id       string
	producer Producer
	previous Producer // what the client had before it was given the present one: an InitProducerId that names it missed the answer (KIP-360)
	timeout  time.Duration
	ended    lastEnd
	used     int64 // milliseconds since the epoch: when the session began or its last transaction ended; 0: not known (see Recovered)

	open       bool
	started    int64 // milliseconds since the epoch, if open
	partitions map[Partition]struct{}
	groups     map[string]struct{}
}

// Coordinator is the state of all producers. New makes one.
type Coordinator struct {
	transactions map[string]*transaction
	open         map[string]*transaction
	nextID       int64 // the next producer id; below reserved
	reserved     int64
}

// New returns a coordinator that has given out no producer id.
func New() *Coordinator {
	return &Coordinator{transactions: make(map[string]*transaction), open: make(map[string]*transaction)}
}

// allocate returns a producer id that was never given out (T1).
func (c *Coordinator) allocate(e *Effects) int64 {
	id := c.nextID
	c.nextID++
	if id >= c.reserved {
		e.Records = append(e.Records, encodeReserve(id+producerBlock))
		c.reserved = id + producerBlock // the record says the same; a second allocation may come before its replay
	}
	return id
}

// sender finds the transaction of a request, and checks that the producer is the present one.
func (c *Coordinator) sender(id string, p Producer) (*transaction, *kerr.Error) {
	t := c.transactions[id]
	switch {
	case t == nil || t.producer.ID != p.ID:
		return nil, kerr.InvalidProducerIDMapping
	case t.producer.Epoch != p.Epoch:
		return nil, kerr.ProducerFenced
	}
	return t, nil
}

// end returns the end of t's open transaction with markers of the given epoch.
func (t *transaction) end(epoch int16, commit bool) End {
	return End{
		Producer: Producer{t.producer.ID, epoch}, Commit: commit,
		Partitions: slices.SortedFunc(maps.Keys(t.partitions), comparePartitions),
	}
}

// bumped returns the epoch after the present one, or a new producer id if it is used up (T5).
func (c *Coordinator) bumped(p Producer, e *Effects) Producer {
	if p.Epoch >= lastEpoch {
		return Producer{ID: c.allocate(e)}
	}
	return Producer{p.ID, p.Epoch + 1}
}

// deadline returns when t's open transaction times out.
func (t *transaction) deadline() time.Time { return time.UnixMilli(t.started).Add(t.timeout) }

// Next returns when Tick has something to do next; ok is false if never.
func (c *Coordinator) Next() (at time.Time, ok bool) {
	for _, t := range c.open {
		if d := t.deadline(); !ok || d.Before(at) {
			at, ok = d, true
		}
	}
	return at, ok
}

// Tick aborts the transactions that have timed out by now (T3).
func (c *Coordinator) Tick(now time.Time) Effects {
	var e Effects
	for _, id := range slices.Sorted(maps.Keys(c.open)) {
		t := c.open[id]
		if t.deadline().After(now) {
			continue
		}
		e.Ends = append(e.Ends, t.end(t.producer.Epoch+1, false))
		next := *t
		next.producer = c.bumped(t.producer, &e)
		next.previous, next.ended, next.used = noProducer, timedOut, now.UnixMilli()
		e.Records = append(e.Records, next.record())
	}
	return e
}

var (
	noProducer = Producer{none, none}
	noEnd      = lastEnd{producer: noProducer}
	timedOut   = lastEnd{producer: Producer{ID: none}} // by no client
)
