package client

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Init starts a producer session: it gets a producer id and epoch, fences older sessions of the transactional id, and
// settles the transaction that they left: completed if its commit was decided, else aborted. It may be called again at
// any time and forgets all that was sent and not ended before.
func (p *Producer) Init(ctx context.Context) error { return p.init(ctx, session{-1, -1}) }

// init starts a session: a new one, or, if old is one, its successor, which fails if there is another already (KIP-360).
func (p *Producer) init(ctx context.Context, old session) error {
	if err := p.drain(ctx); err != nil {
		return err
	}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch = old.id, old.epoch
	if id := p.cfg.TransactionalID; id != "" {
		req.TransactionalID = kmsg.StringPtr(id)
		req.TransactionTimeoutMillis = int32(p.cfg.TransactionTimeout.Milliseconds())
	}
	var s session
	err := retry(ctx, func() error {
		resp, err := req.RequestWith(ctx, p.conn)
		if err != nil {
			return answered(err, 0)
		}
		s = session{resp.ProducerID, resp.ProducerEpoch}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	if err != nil {
		return doing(err, "start producer session %q", p.cfg.TransactionalID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return ErrClosed
	}
	clear(p.mu.lanes)
	p.mu.order = nil
	p.mu.inited, p.mu.session = true, s
	p.endedLocked()
	return nil
}

// endedLocked is the state between two transactions.
func (p *Producer) endedLocked() {
	p.mu.open, p.mu.touched, p.mu.offsets, p.mu.offered, p.mu.draining, p.mu.err = false, false, false, false, false, nil
	for _, l := range p.mu.order {
		l.inTxn = false
	}
	p.broadcastLocked()
}

// InTransaction reports whether there is something to end: a batch or offsets were sent.
func (p *Producer) InTransaction() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.open
}

// addPartitions puts the partitions of lanes into the transaction (version 1).
func (p *Producer) addPartitions(ctx context.Context, s session, lanes []*lane) error {
	var partitions []TopicPartition
	for _, l := range lanes {
		if !l.inTxn {
			partitions = append(partitions, l.tp)
		}
	}
	if len(partitions) == 0 {
		return nil
	}
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.cfg.TransactionalID, s.id, s.epoch
	for topic, ps := range byTopic(partitions) {
		rt := kmsg.NewAddPartitionsToTxnRequestTopic()
		rt.Topic, rt.Partitions = topic, ps
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, p.conn)
	if err != nil {
		return doing(answered(err, 0), "add partitions to the transaction")
	}
	if err := notAdded(resp); err != nil {
		return err
	}
	for _, l := range lanes {
		l.inTxn = true
	}
	return nil
}

// notAdded returns why partitions are not in the transaction. A coordinator that refuses one of them adds none, and says of the others only
// that it has not tried: that is no reason.
func notAdded(resp *kmsg.AddPartitionsToTxnResponse) (reason error) {
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			err := doing(kerr.ErrorForCode(rp.ErrorCode), "add %s-%d to the transaction", rt.Topic, rp.Partition)
			if reason == nil || err != nil && errors.Is(reason, kerr.OperationNotAttempted) {
				reason = err
			}
		}
	}
	return reason
}

// CommitOffsets adds the offsets to the transaction. It tries again, while the coordinator moves, until ctx ends. After a
// ClassGeneration it may be called again with the new generation.
func (p *Producer) CommitOffsets(ctx context.Context, id Identity, offsets map[TopicPartition]Committed) error {
	if len(offsets) == 0 {
		return nil
	}
	err := p.await(ctx, func() bool { return !p.mu.apart || p.settledLocked() })
	p.mu.Lock()
	s, added := p.mu.session, p.mu.offsets
	if err == nil && !p.mu.inited {
		err = withClass(errNotInitialised, ClassUnknown)
	}
	if err == nil {
		p.beginLocked()
		p.mu.touched, p.mu.offered = true, true
	}
	p.mu.Unlock()
	if err == nil && !p.c.v2 && !added {
		if err = retry(ctx, func() error { return p.addGroup(ctx, s, id.Group) }); err == nil {
			p.mu.Lock()
			p.mu.offsets = true
			p.mu.Unlock()
		}
	}
	if err == nil {
		req := p.offsetsRequest(s, id, offsets)
		err = retry(ctx, func() error { return p.sendOffsets(ctx, req) })
	}
	if ClassOf(err) == ClassRetry {
		err = withClass(err, ClassAbort)
	}
	return doing(err, "commit offsets of group %q in the transaction", id.Group)
}

func (p *Producer) addGroup(ctx context.Context, s session, group string) error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.cfg.TransactionalID, s.id, s.epoch, group
	resp, err := req.RequestWith(ctx, p.conn)
	if err != nil {
		return answered(err, 0)
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

func (p *Producer) offsetsRequest(s session, id Identity, offsets map[TopicPartition]Committed) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.cfg.TransactionalID, s.id, s.epoch
	req.Group, req.MemberID, req.Generation, req.InstanceID = id.Group, id.MemberID, id.Generation, id.instanceID()
	for topic, ps := range byTopic(sortedKeys(offsets)) {
		rt := kmsg.NewTxnOffsetCommitRequestTopic()
		rt.Topic = topic
		for _, partition := range ps {
			o := offsets[TopicPartition{Topic: topic, Partition: partition}]
			rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = partition, o.Offset, o.LeaderEpoch, kmsg.StringPtr(o.Metadata)
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	return req
}

func (p *Producer) sendOffsets(ctx context.Context, req *kmsg.TxnOffsetCommitRequest) error {
	resp, err := req.RequestWith(ctx, p.conn)
	if err != nil {
		return answered(err, 0)
	}
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return doing(err, "%s-%d", rt.Topic, rp.Partition)
			}
		}
	}
	return nil
}

// End commits or aborts the transaction. Without one it does nothing. Before a commit everything must have been flushed.
//
// The class of an error says how to go on: ClassAbort, End(ctx, false); any other, Init. In particular ClassUnknown means that
// the transaction may have been committed or not.
func (p *Producer) End(ctx context.Context, commit bool) error {
	if !commit {
		if err := p.drain(ctx); err != nil {
			return err
		}
	}
	p.mu.Lock()
	touched, s, err := p.mu.touched && p.mu.open, p.mu.session, p.mu.err
	flushed := p.mu.buffered == 0 && p.mu.busy == 0
	p.mu.Unlock()
	if commit && err != nil {
		return err
	}
	if commit && !flushed {
		return withClass(errUnflushed, ClassAbort)
	}
	if touched {
		if s, err = p.end(ctx, s, commit); err != nil {
			return err
		}
	}
	if touched && !commit && !p.c.v2 {
		return p.init(ctx, s) // batches that were dropped leave gaps in the sequences of this epoch
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return ErrClosed
	}
	if s != p.mu.session { // sequences begin anew with an epoch
		p.mu.session = s
		for _, l := range p.mu.order {
			l.sequence = 0
		}
	}
	p.endedLocked()
	return nil
}

// end sends EndTxn and returns the session to go on with.
func (p *Producer) end(ctx context.Context, s session, commit bool) (session, error) {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.cfg.TransactionalID, s.id, s.epoch, commit
	err := retry(ctx, func() error {
		resp, err := req.RequestWith(ctx, p.conn)
		if err != nil {
			return answered(err, 0)
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return err
		}
		if resp.Version >= endTxnV2 {
			s = session{resp.ProducerID, resp.ProducerEpoch}
		}
		return nil
	})
	if err == nil || !commit && !p.c.v2 && errors.Is(err, kerr.InvalidTxnState) { // nothing of it had arrived
		return s, nil
	}
	class := ClassOf(err)
	if class != ClassFenced && !errors.Is(err, kerr.TransactionAbortable) {
		class = ClassUnknown
	}
	verb := "abort"
	if commit {
		verb = "commit"
	}
	return s, withClass(doing(err, "%s transaction of %q", verb, p.cfg.TransactionalID), class)
}
