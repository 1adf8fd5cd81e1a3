package client

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
	"github.com/millrace-io/millrace/runtime/internal/task"
)

// ErrRefused says that the log has not taken what was sent, and that somebody has to decide about it: see Producer.Refusals.
var ErrRefused = errors.New("the log has refused records")

// Refusal is what the log has not taken of one partition: records of a batch, by the broker's answer, or, if the log could not be
// brought to take anything in time, everything that was sent there. The partition stands still until Resume, or until the transaction
// ends.
//
// A broker refuses a batch as a whole, before it appends anything: no sequence is used up and the transaction is none the worse for it. So
// the records that were not at fault are sent again without the others, under the sequence that the batch had, and the transaction goes
// on. Java's producer cannot do that: it fails the whole batch, and the transaction with it.
type Refusal struct {
	TopicPartition
	Records []Refused // in the order they were sent
	// Final: no handler is asked, as it is not about these records: authorisation, authentication, an invalid topic.
	Final bool
	// Retriable: the log could not be reached, or could not write, for DeliveryTimeout.
	Retriable bool
	// Unknown: the log may hold the records all the same, for an answer was lost, or came from a leader that had lost its part. They
	// cannot be left out of this transaction.
	Unknown bool

	named   map[int]bool // of the first pending batch; nil: the first pending batches as a whole
	batches int          // how many, as far as Refusals has told of them
	err     error        // of each of their records
}

// Refused is a record of a Refusal.
type Refused struct {
	Origin task.Origin
	Known  bool // Origin was noted
	Err    error
}

// isFinal lists what Kafka Streams never asks a handler about, and what only a bug of ours can cause.
func isFinal(err error) bool {
	for _, k := range []*kerr.Error{
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.SaslAuthenticationFailed,
		kerr.SecurityDisabled, kerr.InvalidTopicException, kerr.InvalidRequiredAcks, kerr.InvalidRequest, kerr.UnsupportedVersion,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// refuseLocked stops a lane. a is the broker's answer to its first batch, nil if the lane has run out of time without one.
func (p *Producer) refuseLocked(l *lane, a *kmsg.ProduceResponseTopicPartition, err error) {
	r := &Refusal{TopicPartition: l.tp, Final: isFinal(err), Retriable: ClassOf(err) == ClassRetry, Unknown: l.unsure}
	if r.Retriable {
		r.err = fmt.Errorf("%w (tried %d times in %v)", err, l.tries+1, p.cfg.DeliveryTimeout)
	} else {
		b := l.pending[0]
		reasons := recordErrors(a, b.Len())
		r.named = make(map[int]bool, b.Len())
		for i := range b.Len() {
			reason, named := reasons[i]
			if len(reasons) > 0 && !named {
				continue
			}
			r.named[i] = true
			if reason == "" {
				r.add(b, i, err)
			} else {
				r.add(b, i, fmt.Errorf("%w: %s", kerr.ErrorForCode(a.ErrorCode), reason))
			}
		}
	}
	l.refusal = r
	p.refused.Add(1)
}

func (r *Refusal) add(b *recordbatch.Builder, i int, err error) {
	o, known := b.Origin(i)
	r.Records = append(r.Records, Refused{o, known, err})
}

// gather adds the records of what has been sent by now: nobody knows of a refusal, and stops sending, before it is told.
func (r *Refusal) gather(pending []*recordbatch.Builder) {
	r.Records = slices.Clip(r.Records) // those who were told before have a slice of their own
	for _, b := range pending[r.batches:] {
		for i := range b.Len() {
			r.add(b, i, r.err)
		}
	}
	r.batches = len(pending)
}

// recordErrors returns what an answer says of single records, by their place in the batch (KIP-467). Nothing: it is about all of them.
func recordErrors(a *kmsg.ProduceResponseTopicPartition, n int) map[int]string {
	reasons := make(map[int]string)
	for _, e := range a.ErrorRecords {
		if i := int(e.RelativeOffset); i >= 0 && i < n {
			reasons[i] = ""
			if e.ErrorMessage != nil {
				reasons[i] = *e.ErrorMessage
			}
		}
	}
	return reasons
}

// Refusals returns what is to be decided, in the order of partitions: nothing, mostly, which costs next to nothing.
func (p *Producer) Refusals() []Refusal {
	if p.refused.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Refusal
	for _, l := range p.mu.order {
		if r := l.refusal; r != nil {
			if r.named == nil {
				r.gather(l.pending)
			}
			list = append(list, *r)
		}
	}
	slices.SortFunc(list, func(a, b Refusal) int { return compare(a.TopicPartition, b.TopicPartition) })
	return list
}

// Resume has a partition go on without the records that Refusals has told of; what was sent later is tried. It must not be called after an Unknown refusal, which takes a new
// session.
func (p *Producer) Resume(tp TopicPartition) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.mu.lanes[tp]
	if !ok || l.refusal == nil {
		return nil
	}
	r := l.refusal
	if r.Unknown {
		return withClass(fmt.Errorf("%s-%d: what became of a batch is not known", tp.Topic, tp.Partition), ClassAbort)
	}
	l.refusal = nil
	p.refused.Add(-1)
	defer p.broadcastLocked()
	if r.named == nil {
		for range r.batches {
			p.dequeueLocked(l)
		}
	} else {
		rest, err := p.copyLocked(l.pending[0], func(i int) bool { return !r.named[i] })
		if err != nil {
			return p.failed(l, err)
		}
		p.replaceLocked(l, rest)
	}
	if len(l.pending) > 0 {
		p.crew.wake(l.leader)
	}
	return nil
}

// halveLocked replaces the first batch of a lane, which is larger than the topic allows now, by its halves, as Java's producer does.
func (p *Producer) halveLocked(l *lane) error {
	b := l.pending[0]
	half := b.Len() / 2
	first, err := p.copyLocked(b, func(i int) bool { return i < half })
	if err != nil {
		return err
	}
	second, err := p.copyLocked(b, func(i int) bool { return i >= half })
	if err != nil {
		return err
	}
	unsure := l.unsure
	p.replaceLocked(l, first, second)
	l.unsure = unsure // if the log holds the whole, it holds the halves
	return nil
}

func (p *Producer) copyLocked(b *recordbatch.Builder, keep func(i int) bool) (*recordbatch.Builder, error) {
	c := recordbatch.NewBuilder(p.cfg.BatchBytes, p.cfg.MaxBatchBytes)
	return c, b.Copy(c, keep)
}

// replaceLocked puts batches, those that are not empty, in the place of a lane's first one.
func (p *Producer) replaceLocked(l *lane, batches ...*recordbatch.Builder) {
	p.dequeueLocked(l)
	batches = slices.DeleteFunc(batches, func(b *recordbatch.Builder) bool { return b.Len() == 0 })
	for _, b := range batches {
		p.mu.buffered += b.Bytes()
	}
	l.pending = slices.Insert(l.pending, 0, batches...)
}
