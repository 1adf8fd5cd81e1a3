package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
)

const isolationCommitted = 1

// ask is what one fetch asks of a feed. The feed's position may have changed by the time of the answer only if it ended.
type ask struct {
	feed     *feed
	position int64
}

// work makes one fetch from a node, or looks for the leaders of the feeds that have none. See crew.
func (f *Fetcher) work(ctx context.Context, node int32) time.Duration {
	pollCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	round, req, wait := f.take(node, cancel)
	switch {
	case len(round) == 0:
		return wait
	case node == noLeader:
		f.lookUp(ctx, round)
	default:
		resp, err := req.RequestWith(pollCtx, f.conn.Broker(int(node)))
		f.answer(node, round, resp, err, pollCtx.Err() != nil)
	}
	return 0
}

// take makes the feeds busy that may be fetched from the node now, and makes the request. With none, it returns how long to
// wait.
func (f *Fetcher) take(node int32, cancel context.CancelFunc) (round []ask, req *kmsg.FetchRequest, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait = -1
	now, maxWait := time.Now(), f.cfg.MaxWait
	if hold := f.throttle.hold(node, now); hold > 0 {
		return nil, nil, hold
	}
	share, _ := f.shareLocked()
	for _, d := range f.mu.order {
		f.renewLocked(d, now)
		if d.node() != node || d.busy || d.ended || d.paused {
			continue
		}
		if early := d.notBefore.Sub(now); early > 0 {
			if wait < 0 || early < wait {
				wait = early
			}
			maxWait = min(maxWait, max(early, heldWait))
			continue
		}
		if node != noLeader && f.fullLocked(d, share) {
			maxWait = heldWait
			continue
		}
		if !d.known {
			maxWait = 0 // whether there is something to read is news too
		}
		d.busy = true
		round = append(round, ask{d, d.position})
	}
	if len(round) == 0 || node == noLeader {
		return round, nil, wait
	}
	f.mu.polls[node] = cancel
	return round, f.request(round, maxWait, now), wait
}

func (f *Fetcher) request(round []ask, maxWait time.Duration, now time.Time) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	if !f.cfg.FromLeader && !slices.ContainsFunc(round, func(a ask) bool { return now.Before(a.feed.leaderUntil) }) {
		req.Rack = f.c.cfg.Rack
	}
	req.ReplicaID = -1
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(maxWait.Milliseconds()), 1, int32(f.cfg.MaxBytes)
	if !f.cfg.ReadUncommitted {
		req.IsolationLevel = isolationCommitted
	}
	req.SessionEpoch = -1 // no fetch session
	_, most := f.shareLocked()
	at := make(map[string]int)
	for _, a := range round {
		d := a.feed
		i, ok := at[d.tp.Topic]
		if !ok {
			i = len(req.Topics)
			at[d.tp.Topic] = i
			rt := kmsg.NewFetchRequestTopic()
			rt.Topic, rt.TopicID = d.tp.Topic, d.topicID
			req.Topics = append(req.Topics, rt)
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset = d.tp.Partition, a.position
		rp.CurrentLeaderEpoch, rp.LastFetchedEpoch = d.leader.LeaderEpoch, d.lastEpoch
		rp.LogStartOffset = -1
		rp.PartitionMaxBytes = int32(most)
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	return req
}

// answer takes the answer to a fetch. interrupted says that it was given up on purpose.
func (f *Fetcher) answer(node int32, round []ask, resp *kmsg.FetchResponse, err error, interrupted bool) {
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	answers := make(map[TopicPartition]*kmsg.FetchResponseTopicPartition, len(round))
	if err == nil {
		collectFetched(resp, round, answers)
		unpin(answers)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.mu.polls, node)
	elsewhere := make(map[int32]struct{})
	fed := 0
	for _, a := range round {
		d := a.feed
		d.busy = false
		if d.ended || (err != nil && interrupted) {
			continue
		}
		p, ok := answers[d.tp]
		switch {
		case err != nil:
			f.againLocked(d, err)
		case !ok:
			f.againLocked(d, errNoAnswer)
		case f.takeLocked(d, p, node):
			d.fed = true
			fed++
		}
		if d.node() != node {
			elsewhere[d.node()] = struct{}{}
		}
	}
	for other := range elsewhere {
		f.interruptLocked(other)
	}
	if fed > 0 {
		f.rotateLocked()
	}
}

// rotateLocked puts the feeds that were fed behind the others, so that a full answer starves none.
func (f *Fetcher) rotateLocked() {
	var fed []*feed
	hungry := f.mu.order[:0]
	for _, d := range f.mu.order {
		if d.fed {
			d.fed = false
			fed = append(fed, d)
		} else {
			hungry = append(hungry, d)
		}
	}
	f.mu.order = append(hungry, fed...)
}

// unpin copies what is a small part of an answer: all of its records share one buffer, and a slow partition must not hold
// the memory of fast ones.
func unpin(answers map[TopicPartition]*kmsg.FetchResponseTopicPartition) {
	total := 0
	for _, p := range answers {
		total += len(p.RecordBatches)
	}
	for _, p := range answers {
		if n := len(p.RecordBatches); n > 0 && n < total/4 {
			p.RecordBatches = slices.Clone(p.RecordBatches)
		}
	}
}

// collectFetched maps the answers by partition; from version 13 on they name topics by id.
func collectFetched(resp *kmsg.FetchResponse, round []ask, into map[TopicPartition]*kmsg.FetchResponseTopicPartition) {
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		name := rt.Topic
		if name == "" {
			at := slices.IndexFunc(round, func(a ask) bool { return a.feed.topicID == rt.TopicID })
			if at < 0 {
				continue
			}
			name = round[at].feed.tp.Topic
		}
		for j := range rt.Partitions {
			rp := &rt.Partitions[j]
			into[TopicPartition{Topic: name, Partition: rp.Partition}] = rp
		}
	}
}

// takeLocked takes one partition's share of a node's answer and reports whether it held records.
func (f *Fetcher) takeLocked(d *feed, p *kmsg.FetchResponseTopicPartition, node int32) bool {
	switch err := kerr.ErrorForCode(p.ErrorCode); {
	case node != d.leader.Leader && (err != nil || p.DivergingEpoch.EndOffset >= 0):
		f.againLocked(d, cmp.Or(err, errReplicaBehind))
		return false
	case errors.Is(err, kerr.OffsetOutOfRange):
		f.endLocked(d, &OutOfRangeError{TopicPartition: d.tp, Offset: d.position})
		return false
	case err != nil && (ClassOf(err) == ClassRetry || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownServerError)):
		f.againLocked(d, err)
		return false
	case err != nil:
		f.endLocked(d, err)
		return false
	case p.DivergingEpoch.EndOffset >= 0:
		f.endLocked(d, &TruncatedError{TopicPartition: d.tp, Offset: d.position, End: p.DivergingEpoch.EndOffset})
		return false
	case p.PreferredReadReplica >= 0 && p.PreferredReadReplica != node && len(p.RecordBatches) == 0:
		f.preferLocked(d, p.PreferredReadReplica, time.Now())
		return false
	}
	d.tries = 0
	news := Fetched{HighWatermark: p.HighWatermark, LastStable: p.LastStableOffset, LogStart: p.LogStartOffset}
	if n := len(p.RecordBatches); n > 0 {
		r, err := f.reader(d, p)
		if err != nil {
			f.endLocked(d, err)
			return false
		}
		news.Batch = r
		d.position, d.lastEpoch = r.End(), r.LastEpoch()
		d.held += n
		f.mu.held += n
	}
	end := news.LastStable
	if f.cfg.ReadUncommitted || end < 0 {
		end = news.HighWatermark
	}
	news.Lag = max(0, end-d.position)
	last := &d.reported
	if news.Batch != nil || !d.known || last.Lag != news.Lag || last.HighWatermark != news.HighWatermark ||
		last.LastStable != news.LastStable || last.LogStart != news.LogStart || time.Since(d.said) >= f.sayAgain {
		f.queueLocked(d, news)
	}
	return news.Batch != nil
}

func (f *Fetcher) reader(d *feed, p *kmsg.FetchResponseTopicPartition) (*recordbatch.Reader, error) {
	n := len(p.RecordBatches)
	fetched := recordbatch.Fetched{
		Records:       p.RecordBatches,
		From:          d.position,
		ReadCommitted: !f.cfg.ReadUncommitted,
		Released:      func() { f.released(d, n) },
	}
	for _, a := range p.AbortedTransactions {
		fetched.Aborted = append(fetched.Aborted, recordbatch.Aborted{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
	}
	return recordbatch.NewReader(fetched)
}

// lookUp finds the leaders of feeds. After a failure it asks the log, not the memory.
func (f *Fetcher) lookUp(ctx context.Context, round []ask) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var names []string
	tried := false
	for _, a := range round {
		tried = tried || a.feed.tries > 0
		if !slices.Contains(names, a.feed.tp.Topic) {
			names = append(names, a.feed.tp.Topic)
		}
	}
	var topics map[string]Topic
	var err error
	if tried {
		topics, err = f.c.refreshTopics(ctx, f.conn, names)
	} else {
		topics, err = f.c.Topics(ctx, names...)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	woken := make(map[int32]struct{})
	for _, a := range round {
		d := a.feed
		d.busy = false
		if d.ended {
			continue
		}
		if of, ok := errors.AsType[*topicError](err); ok && of.topic == d.tp.Topic && ClassOf(err) == ClassFatal {
			f.endLocked(d, err) // the others are looked for without it
			continue
		}
		if err != nil {
			d.missing = time.Time{} // a log that comes back after an outage may not know all of its topics at once
			f.againLocked(d, err)
			continue
		}
		if f.leadLocked(d, topics) {
			woken[d.leader.Leader] = struct{}{}
		}
	}
	for node := range woken {
		f.interruptLocked(node)
	}
}

// leadLocked gives a feed its leader and reports whether it has one.
func (f *Fetcher) leadLocked(d *feed, topics map[string]Topic) bool {
	t, ok := topics[d.tp.Topic]
	leader := t.leader(d.tp.Partition)
	switch known := d.topicID != [16]byte{}; {
	case ok && known && t.ID != d.topicID:
		f.endLocked(d, &RecreatedError{TopicPartition: d.tp})
		return false
	case leader.Leader >= 0:
		d.topicID, d.leader, d.missing = t.ID, leader, time.Time{}
		return true
	case ok && int(d.tp.Partition) < len(t.Partitions):
		d.missing = time.Time{}
		f.againLocked(d, errNoLeader)
		return false
	}
	switch now := time.Now(); {
	case d.missing.IsZero():
		d.missing = now
	case now.Sub(d.missing) > missingTimeout:
		f.endLocked(d, withClass(errNoTopic, ClassFatal))
		return false
	}
	f.againLocked(d, errNoTopic)
	return false
}

// OutOfRangeError says that the log does not have the offset any more, or not yet.
type OutOfRangeError struct {
	TopicPartition
	Offset int64
}

// Error implements error.
func (e *OutOfRangeError) Error() string {
	return fmt.Sprintf("offset %d of %s-%d is out of range", e.Offset, e.Topic, e.Partition)
}

// TruncatedError says that the log has lost records that were read: it now ends, or diverges, at End.
type TruncatedError struct {
	TopicPartition
	Offset, End int64
}

// Error implements error.
func (e *TruncatedError) Error() string {
	return fmt.Sprintf("%s-%d was truncated to offset %d, read up to %d", e.Topic, e.Partition, e.End, e.Offset)
}

// RecreatedError says that the topic was deleted and created again while it was read.
type RecreatedError struct{ TopicPartition }

// Error implements error.
func (e *RecreatedError) Error() string {
	return fmt.Sprintf("topic %q was deleted and created again", e.Topic)
}

// isOfData reports whether err is about what the log holds, so that asking again cannot help.
func isOfData(err error) bool {
	for _, is := range []func(error) bool{isA[*OutOfRangeError], isA[*TruncatedError], isA[*RecreatedError], isA[*recordbatch.CorruptError]} {
		if is(err) {
			return true
		}
	}
	return false
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
