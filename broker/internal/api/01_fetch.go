package api

// Fetch, key 1, versions 4-18.
//
//	4   record batches: isolation level, aborted transactions (KIP-98)
//	5   log start offset
//	6   KAFKA_STORAGE_ERROR
//	7   sessions (KIP-227)
//	9   current leader epoch (KIP-320)
//	10  zstd (KIP-110)
//	11  rack, preferred read replica (KIP-392)
//	12  flexible; last fetched epoch
//	13  topic ids (KIP-516)
//	15  replica state
//	16  node endpoints (KIP-951)
//	17  replica directory
//	18  high watermark of followers
//
// Sessions live in memory: after a restart, or when many others were used since, a client begins another. Left out: preferred replicas,
// and the diverging epoch, since the log is never cut below what was readable.

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

const (
	// maxFetchBytes bounds an answer (fetch.max.bytes), apart from the first batch, which goes out whatever its size.
	maxFetchBytes = 16 << 20
	// maxFetchWait bounds how long a fetch may wait.
	maxFetchWait = 5 * time.Minute
)

// fetchPartition is one partition of a fetch, and what was read of it.
type fetchPartition struct {
	index    int32
	err      *kerr.Error
	part     *commitlog.Partition // nil if err was there from the start
	offset   int64
	maxBytes int
	commitlog.ReadResult
}

// fetchTopic is one topic of a fetch.
type fetchTopic struct {
	name       string
	id         [16]byte
	partitions []fetchPartition
}

// fetch is one fetch request while it is being answered.
type fetch struct {
	version   int16
	isolation commitlog.Isolation
	minBytes  int
	maxBytes  int
	maxWait   time.Duration
	topics    []fetchTopic
	sessionID int32 // 0: none

	// Of the last pass:
	bytes  int  // read
	more   bool // a partition has more than there was room for
	failed bool // a partition has an error
}

func (a *API) fetch(req *server.Request, r *kmsg.FetchRequest) server.Reply {
	var refused *kerr.Error
	var session *fetchSession
	switch {
	case r.ReplicaID >= 0 || r.ReplicaState.ID >= 0:
		refused = kerr.ClusterAuthorizationFailed // nobody follows this broker
	default:
		session, refused = a.sessions.begin(r, a.sessionOf(req.Peer).principal, a.cfg.Now())
	}
	incremental := session != nil && r.SessionEpoch != initialEpoch
	if incremental {
		r.Topics = session.wanted()
	}
	f := a.newFetch(req, r, refused)
	if session != nil {
		f.sessionID = session.id
	}
	return func(ctx context.Context) (server.Response, error) {
		if refused == nil {
			if err := a.read(ctx, f); err != nil {
				return server.Response{}, err
			}
		}
		if session != nil {
			session.tell(f, incremental)
		}
		return server.Response{Frame: f.encode(req.Header, refused), Written: f.release, Code: f.code(refused)}, nil
	}
}

func (a *API) newFetch(req *server.Request, r *kmsg.FetchRequest, refused *kerr.Error) *fetch {
	maxBytes := min(int(max(r.MaxBytes, 0)), maxFetchBytes)
	f := &fetch{
		version: r.Version, isolation: commitlog.Isolation(r.IsolationLevel), minBytes: min(int(r.MinBytes), maxBytes), maxBytes: maxBytes,
		maxWait: min(time.Duration(max(r.MaxWaitMillis, 0))*time.Millisecond, maxFetchWait),
	}
	if f.isolation != commitlog.ReadCommitted {
		f.isolation = commitlog.ReadUncommitted
	}
	f.topics = make([]fetchTopic, len(r.Topics))
	for i := range r.Topics {
		rt, ft := &r.Topics[i], &f.topics[i]
		t, terr := a.topic(req, opRead, rt.Topic, rt.TopicID, r.Version, 13)
		if refused != nil {
			terr = refused
		}
		ft.name, ft.id = rt.Topic, rt.TopicID
		ft.partitions = make([]fetchPartition, len(rt.Partitions))
		for j := range rt.Partitions {
			rp, fp := &rt.Partitions[j], &ft.partitions[j]
			fp.index, fp.offset, fp.maxBytes = rp.Partition, rp.FetchOffset, int(max(rp.PartitionMaxBytes, 0))
			fp.part, fp.err = a.partition(t, rp.Partition, terr)
			if fp.err == nil {
				fp.err = checkEpoch(fp.part, rp.CurrentLeaderEpoch)
			}
			if fp.err != nil {
				fp.part = nil
			}
		}
	}
	return f
}

// read reads until there are minBytes, all that there is room for, an error, or no more time. Commits and aborts wake it as appends do,
// since what a read_committed fetch waits for is the last stable offset. It returns an error only if nobody wants the answer.
func (a *API) read(ctx context.Context, f *fetch) error {
	if f.pass(); f.done() {
		return nil
	}
	waiter := commitlog.NewWaiter()
	for p := range f.live() {
		p.part.Watch(waiter, f.isolation)
		defer p.part.Unwatch(waiter)
	}
	timer := time.NewTimer(f.maxWait)
	defer timer.Stop()
	for {
		if f.pass(); f.done() {
			return nil
		}
		waiter.Arm(int64(f.minBytes - f.bytes))
		select {
		case <-waiter.C():
		case <-timer.C:
			f.pass()
			return nil
		case <-a.cfg.Draining:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// code returns the first error code in the answer, or 0.
func (f *fetch) code(refused *kerr.Error) int16 {
	if refused != nil {
		return refused.Code
	}
	if f.failed {
		for i := range f.topics {
			for j := range f.topics[i].partitions {
				if p := &f.topics[i].partitions[j]; p.err != nil {
					return p.err.Code
				}
			}
		}
	}
	return 0
}

// done reports whether the last pass can be answered with. What did not fit, or is in the next segment, another pass would not read either:
// whoever catches up with a high min.bytes must not wait for it. Nor is there anything to wait for without a partition, as when a client
// ends its session.
func (f *fetch) done() bool {
	return f.failed || f.more || f.bytes >= f.minBytes || f.maxWait == 0 || len(f.topics) == 0
}

// release gives back the memory of what was read.
func (f *fetch) release() {
	for p := range f.live() {
		p.Release()
	}
}

// live ranges over the partitions that can be read.
func (f *fetch) live() func(yield func(*fetchPartition) bool) {
	return func(yield func(*fetchPartition) bool) {
		for i := range f.topics {
			for j := range f.topics[i].partitions {
				if p := &f.topics[i].partitions[j]; p.part != nil && !yield(p) {
					return
				}
			}
		}
	}
}

// pass reads every partition once, in the order of the request. The first batch goes out whatever its size, after that
// the limits are strict.
func (f *fetch) pass() {
	f.release()
	f.bytes, f.more, f.failed = 0, false, false
	for i := range f.topics {
		for j := range f.topics[i].partitions {
			p := &f.topics[i].partitions[j]
			if p.part == nil {
				f.failed = true
				continue
			}
			var err error
			p.ReadResult, err = p.part.Read(p.offset, commitlog.ReadOptions{
				MaxBytes: max(min(p.maxBytes, f.maxBytes-f.bytes), 0), MinOneBatch: f.bytes == 0, Isolation: f.isolation,
			})
			p.err = nil
			if err != nil {
				p.err, f.failed = cause(err), true
				if p.err == kerr.UnknownTopicOrPartition && f.version >= 13 {
					p.err = kerr.UnknownTopicID
				}
			}
			f.bytes += p.Bytes
			f.more = f.more || p.More
		}
	}
}
