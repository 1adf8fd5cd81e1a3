package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
)

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
	if hold := p.throttle.hold(node, now); hold > 0 {
		return nil, session{}, hold
	}
	for _, l := range p.mu.order {
		if l.leader != node || l.busy || len(l.pending) == 0 || l.refusal != nil {
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
	ctx, cancel := context.WithTimeout(ctx, min(requestTimeout, p.cfg.DeliveryTimeout))
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
		p.settle(l, nil, failure)
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
				p.settle(l, nil, err)
			}
			return
		}
	}
	ctx, cancel := context.WithDeadline(ctx, p.deadline(round))
	defer cancel()
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
			l.unsure = true
			p.settle(l, nil, withRetry(answered(err, 0)))
		case !ok:
			l.unsure = true
			p.settle(l, nil, errNoAnswer)
		default:
			l.unsure = l.unsure || mayBeAppended(a.ErrorCode)
			p.settle(l, a, produceError(a))
		}
	}
}

// mayBeAppended reports whether a broker may answer so about a batch that it has appended: it waits for the other replicas then, one of
// which may lead when the answer comes.
func mayBeAppended(code int16) bool {
	switch code {
	case kerr.RequestTimedOut.Code, kerr.NotEnoughReplicasAfterAppend.Code, kerr.NotLeaderForPartition.Code, kerr.KafkaStorageError.Code:
		return true
	}
	return false
}

// deadline is when the first of the round's batches has been tried for long enough. A batch that is tried for the last time still gets
// a moment.
func (p *Producer) deadline(round []*lane) time.Time {
	first := round[0].since
	for _, l := range round {
		if l.since.Before(first) {
			first = l.since
		}
	}
	at := first.Add(p.cfg.DeliveryTimeout)
	if least := time.Now().Add(min(lastTry, p.cfg.DeliveryTimeout/4)); at.Before(least) {
		return least
	}
	return at
}

// lastTry is how long the last try of a batch may take, beyond the delivery time-out.
const lastTry = 500 * time.Millisecond

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

// settle takes the outcome of a lane's first batch. a is the broker's answer, nil if there was none.
func (p *Producer) settle(l *lane, a *kmsg.ProduceResponseTopicPartition, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.broadcastLocked()
	l.busy = false
	p.mu.busy--
	now := time.Now()
	switch class := ClassOf(err); {
	case err == nil:
		b := l.pending[0]
		n := int64(b.Len())
		l.acked, l.next = true, a.BaseOffset+n
		l.sequence = nextSequence(l.sequence, n)
		p.dequeueLocked(l)
	case class == ClassRetry && now.Sub(l.since) < p.cfg.DeliveryTimeout:
		l.tries++
		p.mu.apart = p.mu.apart || p.mu.offered && errors.Is(err, kerr.NotEnoughReplicas)
		l.notBefore = now.Add(waitAfter(l.tries, err))
		if last := l.since.Add(p.cfg.DeliveryTimeout); l.notBefore.After(last) { // whoever waits has a time-out of its own
			l.notBefore = last
		}
		if ofLeader(err) {
			l.leader = noLeader
		}
	case errors.Is(err, kerr.MessageTooLarge) && l.pending[0].Len() > 1:
		err = p.halveLocked(l)
		if err != nil && p.mu.err == nil {
			p.mu.err = p.failed(l, err)
		}
	case class == ClassRetry, class == ClassFatal && a != nil:
		p.refuseLocked(l, a, err)
		return
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

// dequeueLocked drops the first batch of a lane. It is not used again if a request that was given up may still be about to write it.
func (p *Producer) dequeueLocked(l *lane) {
	b, lent := l.pending[0], l.unsure
	l.pending = slices.Delete(l.pending, 0, 1)
	l.tries, l.unsure = 0, false
	p.mu.buffered -= b.Bytes()
	if !lent {
		p.recycleLocked(b)
	}
}

// nextSequence returns the sequence after n records, which goes on with 0 after the largest one.
func nextSequence(sequence int32, n int64) int32 { return int32((int64(sequence) + n) & math.MaxInt32) }

// failed is the error that sticks after a batch could not be written.
func (p *Producer) failed(l *lane, err error) error {
	return doing(err, "produce to %s-%d", l.tp.Topic, l.tp.Partition)
}
