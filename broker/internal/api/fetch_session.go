package api

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

const (
	// maxFetchSessions and maxSessionPartitions bound what sessions take; at the bound an old one goes, or none is given.
	maxFetchSessions     = 1000
	maxSessionPartitions = 200_000
	// sessionEviction is how long a session is not used before another may take its place (min.incremental.fetch.session.eviction.ms).
	sessionEviction = 2 * time.Minute
)

// Epochs of a fetch that is not part of a session, and of one that begins one.
const (
	finalEpoch   = -1
	initialEpoch = 0
)

// fetchSessions are what clients have said that they fetch, so that they need not say it again (KIP-227).
type fetchSessions struct {
	mu         sync.Mutex
	all        map[int32]*fetchSession
	partitions int // of all
}

// fetchSession is one client's. Its partitions are in the order in which they are read: those that had records go last.
type fetchSession struct {
	id   int32
	used time.Time // guarded by fetchSessions.mu
	byID bool      // topics are named by id
	// principal is whose session it is: to others it is not there.
	principal string

	mu         sync.Mutex
	epoch      int32 // of the next fetch
	partitions []*sessionPartition
	index      map[sessionKey]*sessionPartition
}

// sessionKey names a partition as the client does.
type sessionKey struct {
	name      string
	id        [16]byte
	partition int32
}

// sessionPartition is what is fetched of a partition, and what the client was told of it last.
type sessionPartition struct {
	sessionKey
	want kmsg.FetchRequestTopicPartition
	told bool // offsets were
	commitlog.Offsets
}

func newFetchSessions() *fetchSessions { return &fetchSessions{all: map[int32]*fetchSession{}} }

// begin returns the session of a request, which has then taken up what the request says, or nil if there is none.
func (c *fetchSessions) begin(r *kmsg.FetchRequest, principal string, now time.Time) (*fetchSession, *kerr.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.all[r.SessionID]
	if s != nil && s.principal != principal {
		s = nil
	}
	if r.Version < 7 || r.SessionEpoch == finalEpoch || r.SessionEpoch == initialEpoch {
		if s != nil { // the client is done with it
			c.removeLocked(s)
		}
		if r.Version < 7 || r.SessionEpoch == finalEpoch || len(r.Topics) == 0 {
			return nil, nil
		}
		return c.createLocked(r, principal, now), nil
	}
	if s == nil {
		return nil, kerr.FetchSessionIDNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.epoch != r.SessionEpoch:
		return nil, kerr.InvalidFetchSessionEpoch
	case s.byID != (r.Version >= 13):
		return nil, kerr.FetchSessionTopicIDError
	}
	had := len(s.partitions)
	s.update(r)
	c.partitions += len(s.partitions) - had
	if c.partitions > maxSessionPartitions && len(s.partitions) > had { // it cannot grow: the client begins another, or does without
		c.removeLocked(s)
		return nil, kerr.FetchSessionIDNotFound
	}
	s.used = now
	if s.epoch++; s.epoch < 1 {
		s.epoch = 1
	}
	if len(s.partitions) == 0 {
		c.removeLocked(s)
		return nil, nil
	}
	return s, nil
}

// createLocked begins a session, or returns nil if there is no room for one.
func (c *fetchSessions) createLocked(r *kmsg.FetchRequest, principal string, now time.Time) *fetchSession {
	s := &fetchSession{used: now, byID: r.Version >= 13, principal: principal, epoch: 1, index: map[sessionKey]*sessionPartition{}}
	s.update(r)
	for len(c.all) >= maxFetchSessions || c.partitions+len(s.partitions) > maxSessionPartitions {
		var oldest *fetchSession
		for _, o := range c.all {
			if oldest == nil || o.used.Before(oldest.used) {
				oldest = o
			}
		}
		if oldest == nil || now.Sub(oldest.used) < sessionEviction {
			return nil
		}
		c.removeLocked(oldest)
	}
	for s.id == 0 || c.all[s.id] != nil {
		s.id = rand.Int32N(1<<31-1) + 1
	}
	c.all[s.id] = s
	c.partitions += len(s.partitions)
	return s
}

func (c *fetchSessions) removeLocked(s *fetchSession) {
	delete(c.all, s.id)
	c.partitions -= len(s.index) // the same as its partitions
}

// update takes up the partitions of a request: new ones go last, others get what is wanted of them now.
func (s *fetchSession) update(r *kmsg.FetchRequest) {
	for i := range r.ForgottenTopics {
		t := &r.ForgottenTopics[i]
		for _, p := range t.Partitions {
			delete(s.index, s.key(t.Topic, t.TopicID, p))
		}
	}
	if len(r.ForgottenTopics) > 0 {
		s.partitions = slices.DeleteFunc(s.partitions, func(p *sessionPartition) bool { return s.index[p.sessionKey] != p })
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		for _, want := range t.Partitions {
			key := s.key(t.Topic, t.TopicID, want.Partition)
			p := s.index[key]
			if p == nil {
				p = &sessionPartition{sessionKey: key}
				s.index[key] = p
				s.partitions = append(s.partitions, p)
			}
			p.want = want
		}
	}
}

// key is the name of a partition, of the kind that the session has.
func (s *fetchSession) key(name string, id [16]byte, partition int32) sessionKey {
	if s.byID {
		return sessionKey{id: id, partition: partition}
	}
	return sessionKey{name: name, partition: partition}
}

// wanted returns all that the session fetches, in order.
func (s *fetchSession) wanted() (topics []kmsg.FetchRequestTopic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.partitions {
		if n := len(topics); n == 0 || topics[n-1].Topic != p.name || topics[n-1].TopicID != p.id {
			topics = append(topics, kmsg.FetchRequestTopic{Topic: p.name, TopicID: p.id})
		}
		t := &topics[len(topics)-1]
		t.Partitions = append(t.Partitions, p.want)
	}
	return topics
}

// tell notes what an answer says, and leaves out of an incremental one what says nothing new: no records, no error, and offsets that the
// client knows. Partitions with records go to the end, so that each has its turn to be read first.
func (s *fetchSession) tell(f *fetch, incremental bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	served := map[*sessionPartition]bool{}
	var last []*sessionPartition
	f.topics = slices.DeleteFunc(f.topics, func(t fetchTopic) bool { return len(t.partitions) == 0 })
	for i := range f.topics {
		t := &f.topics[i]
		t.partitions = slices.DeleteFunc(t.partitions, func(p fetchPartition) bool {
			known := s.index[s.key(t.name, t.id, p.index)]
			if known == nil {
				return false // forgotten meanwhile
			}
			news := p.Bytes > 0 || p.err != nil || !known.told || known.Offsets != readable(p.Offsets)
			known.told, known.Offsets = p.err == nil, readable(p.Offsets)
			if p.Bytes > 0 && !served[known] {
				served[known], last = true, append(last, known)
			}
			return incremental && !news
		})
	}
	f.topics = slices.DeleteFunc(f.topics, func(t fetchTopic) bool { return len(t.partitions) == 0 })
	if len(last) > 0 {
		s.partitions = append(slices.DeleteFunc(s.partitions, func(p *sessionPartition) bool { return served[p] }), last...)
	}
}

// readable returns the offsets that an answer has.
func readable(o commitlog.Offsets) commitlog.Offsets {
	o.End = 0
	return o
}
