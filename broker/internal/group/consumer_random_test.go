package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// randomClient is a consumer that does as it is told, sooner or later.
type randomClient struct {
	id       string
	instance string // empty: dynamic
	epoch    int32
	names    []string
	owned    []Partition    // what it reads from at this moment
	told     []Partition    // what it may have
	full     bool           // it says all in its next request, having lost an answer, and so is told all
	stale    bool           // it has been taken out, and has not heard of it
	classic  *classicClient // nil: it speaks the protocol of KIP-848
}

// TestConsumersNeverShare: whatever members, topics and answers do, no two members read a partition at once; and when it is quiet, every
// partition of a topic that somebody subscribes to is read by one who does.
func TestConsumersNeverShare(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 848))
		w := newRandomGroup(t, r)
		for range 400 {
			w.step()
			w.check(seed)
		}
		for range 40 { // quiet, until the sessions of the dead are over, and the rest have settled
			w.s.now = w.s.now.Add(2 * time.Second)
			w.tick()
			for _, c := range w.clients {
				w.beat(c, false)
			}
			w.check(seed)
		}
		w.checkComplete(seed)
		if t.Failed() {
			return
		}
	}
}

type randomGroup struct {
	s       *script
	r       *rand.Rand
	clients []*randomClient
	next    int
	call    Call
	mixed   bool // clients of the classic protocol too
	quiet   bool
}

func newRandomGroup(t *testing.T, r *rand.Rand) *randomGroup {
	s := newScript(t)
	for i := range 3 {
		s.topics.partitions[fmt.Sprintf("t%d", i)] = int32(1 + r.IntN(6))
	}
	return &randomGroup{s: s, r: r}
}

// step does one thing of all that can happen.
func (w *randomGroup) step() {
	r := w.r
	w.s.now = w.s.now.Add(time.Duration(r.IntN(3000)) * time.Millisecond)
	w.tick()
	switch n := r.IntN(100); {
	case n < 6 && len(w.clients) < 6:
		w.next++
		c := &randomClient{id: fmt.Sprintf("m%d", w.next)}
		for i := range 3 {
			if r.IntN(3) > 0 {
				c.names = append(c.names, fmt.Sprintf("t%d", i))
			}
		}
		if w.mixed && r.IntN(2) == 0 {
			c.classic = &classicClient{}
		}
		w.clients = append(w.clients, c)
	case n < 8:
		w.s.topics.version++
		name := fmt.Sprintf("t%d", r.IntN(3))
		w.s.topics.partitions[name] = min(w.s.topics.partitions[name]+1, 12)
	case n < 9:
		records := snapshot(w.s.t, w.s.c)
		w.s.c = New(Config{})
		for _, record := range records {
			if err := w.s.c.Replay(record); err != nil {
				w.s.t.Fatal(err)
			}
		}
		w.s.c.Recovered(w.s.now)
		w.disconnect()
	case n < 11 && len(w.clients) > 1:
		i := r.IntN(len(w.clients))
		c := w.clients[i]
		w.clients = slices.Delete(w.clients, i, i+1)
		if c.owned = nil; r.IntN(2) == 0 { // else it dies: its session has to expire
			c.epoch = leaveEpoch
			w.beat(c, false)
		}
	case n < 14 && len(w.clients) > 0: // it joins again, as another static member
		c := w.clients[r.IntN(len(w.clients))]
		name := fmt.Sprintf("i%d", r.IntN(8))
		if slices.ContainsFunc(w.clients, func(o *randomClient) bool { return o.instance == name }) {
			break
		}
		if c.classic != nil {
			break
		}
		c.instance, c.epoch, c.owned, c.told = name, joinEpoch, nil, nil
		w.beat(c, false)
	case n < 17 && w.mixed && len(w.clients) > 0:
		w.switches(w.clients[r.IntN(len(w.clients))])
	case len(w.clients) > 0:
		w.beat(w.clients[r.IntN(len(w.clients))], r.IntN(5) == 0)
	}
}

// beat has a client give up what it may not have, and then ask. The answer may get lost.
func (w *randomGroup) beat(c *randomClient, lost bool) {
	if c.classic != nil {
		w.classicStep(c, lost)
		return
	}
	if w.r.IntN(3) > 0 {
		c.owned, _ = split(c.owned, c.told)
	}
	req := ConsumerHeartbeatRequest{
		Group: "g", MemberID: c.id, MemberEpoch: c.epoch, Owned: c.owned, OwnedKnown: true, Names: c.names, May: func(string) bool { return true },
	}
	if c.instance != "" {
		req.InstanceID = &c.instance
	}
	if c.epoch == joinEpoch || c.full {
		if req.Names == nil {
			req.Names = []string{}
		}
		timeout := time.Minute
		req.RebalanceTimeout = &timeout
	}
	e, res := w.s.c.ConsumerHeartbeat(w.s.now, &w.s.topics, req)
	w.perform(e)
	c.full = lost
	switch {
	case lost:
	case res.Err != nil:
		c.epoch, c.owned, c.told = joinEpoch, nil, nil
	case c.epoch >= 0:
		c.epoch = res.MemberEpoch
		if res.Tell {
			c.told = res.Assigned
			_, added := split(c.told, c.owned)
			c.owned = append(c.owned, added...)
			slices.SortFunc(c.owned, comparePartitions)
		}
	}
}

// check checks that nobody shares (G6). A client whose session has expired reads on until it hears of it, which nothing can help: those whose
// membership is over are left out.
func (w *randomGroup) check(seed uint64) {
	w.noteStale()
	if g := w.s.c.groups["g"]; g != nil && g.consumer != nil {
		for instance, id := range g.consumer.instances {
			if m := g.consumer.members[id]; m == nil || m.instance != instance {
				w.s.t.Fatalf("seed %d: instance %s is that of %s, which is %+v", seed, instance, id, m)
			}
		}
	}
	readers := map[Partition]string{}
	for _, c := range w.clients {
		if c.stale || !w.member(c) {
			continue
		}
		for _, p := range c.owned {
			if other, ok := readers[p]; ok {
				w.s.t.Errorf("seed %d: %s is read by %s and %s", seed, p.name(), other, c.id)
			}
			readers[p] = c.id
		}
	}
}

func (w *randomGroup) checkComplete(seed uint64) {
	readers := map[Partition]int{}
	subscribed := map[string]bool{}
	for _, c := range w.clients {
		for _, name := range c.names {
			subscribed[name] = true
		}
		for _, p := range c.owned {
			readers[p]++
			if name := string(p.name()[:2]); !slices.Contains(c.names, name) {
				w.s.t.Errorf("seed %d: %s reads %s, but subscribes to %v", seed, c.id, p.name(), c.names)
			}
		}
	}
	for name := range subscribed {
		for i := range w.s.topics.partitions[name] {
			if n := readers[Partition{topicNamed(name), i}]; n != 1 {
				w.s.t.Errorf("seed %d: %s/%d is read by %d", seed, name, i, n)
			}
		}
	}
}

// TestAssignors: every partition goes to one reader; evenly, where all read the same; uniform moves nothing but to make it even.
func TestAssignors(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		counts := map[TopicID]int32{}
		var topics []TopicID
		for i := range 1 + r.IntN(4) {
			topics = append(topics, topicNamed(fmt.Sprintf("t%d", i)))
			counts[topics[i]] = int32(1 + r.IntN(20))
		}
		same := r.IntN(2) == 0
		var members []subscriber
		for i := range 1 + r.IntN(8) {
			m := subscriber{id: fmt.Sprintf("m%d", i)}
			for j, topic := range topics {
				if same || j == 0 || r.IntN(2) == 0 {
					m.topics = append(m.topics, topic)
				}
			}
			members = append(members, m)
		}
		checkTarget(t, seed, assignRange(members, counts), members, counts, false)
		first := assignUniform(members, counts)
		checkTarget(t, seed, first, members, counts, same)
		for i := range members {
			members[i].prior = first[members[i].id]
		}
		if again := assignUniform(members, counts); fmt.Sprint(again) != fmt.Sprint(first) {
			t.Errorf("seed %d: assigned again, it is another one", seed)
		}
		members = append(members, subscriber{id: "new", topics: members[0].topics})
		second := assignUniform(members, counts)
		checkTarget(t, seed, second, members, counts, same)
		if !same {
			continue
		}
		for _, m := range members[:len(members)-1] {
			if _, lost := split(m.prior, second[m.id]); len(lost) > 0 && len(second[m.id]) > len(m.prior) {
				t.Errorf("seed %d: %s lost partitions and got others", seed, m.id)
			}
			if kept, _ := split(m.prior, second[m.id]); len(kept) != len(second[m.id]) {
				t.Errorf("seed %d: %s got partitions, though only a member was added", seed, m.id)
			}
		}
	}
}

func checkTarget(t *testing.T, seed uint64, target map[string][]Partition, members []subscriber, counts map[TopicID]int32, even bool) {
	t.Helper()
	given := map[Partition]bool{}
	least, most := 1<<30, 0
	for _, m := range members {
		least, most = min(least, len(target[m.id])), max(most, len(target[m.id]))
		if !slices.IsSortedFunc(target[m.id], comparePartitions) {
			t.Errorf("seed %d: %s: not sorted", seed, m.id)
		}
		for _, p := range target[m.id] {
			if given[p] || !slices.Contains(m.topics, p.Topic) || p.Index >= counts[p.Topic] {
				t.Errorf("seed %d: %s is given %s", seed, m.id, p.name())
			}
			given[p] = true
		}
	}
	total := 0
	for topic, n := range counts {
		if slices.ContainsFunc(members, func(m subscriber) bool { return slices.Contains(m.topics, topic) }) {
			total += int(n)
		}
	}
	if len(given) != total || even && most-least > 1 {
		t.Errorf("seed %d: %d of %d given, %d to %d each", seed, len(given), total, least, most)
	}
}
