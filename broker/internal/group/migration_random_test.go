package group

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// classicClient is what a consumer of the classic protocol has besides. It is a cooperative one: it keeps what it has over a rebalance, and
// says so. It leads if it has to. Its epoch is the generation.
type classicClient struct {
	known   bool // it has an id
	joining Call // 0: it waits for no answer to a join
	syncing Call
	rejoin  bool
	sync    bool              // it has joined, and has to ask for what it may have
	given   map[string][]byte // what it assigns, as the leader
	again   bool              // it has left something out in that, since somebody else has it
}

// classicStep has a classic client do what is next for it. The answer may get lost.
func (w *randomGroup) classicStep(c *randomClient, lost bool) {
	x := c.classic
	switch {
	case c.epoch == leaveEpoch:
		e, _, _ := w.s.c.Leave(w.s.now, &w.s.topics, "g", []LeaveMember{{MemberID: c.id}})
		w.perform(e)
	case x.joining != 0 || x.syncing != 0:
	case x.rejoin || !x.known:
		w.join(c)
		if x.joining != 0 && lost { // it gives up, and asks again
			x.joining, x.rejoin = 0, true
		}
	case x.sync:
		x.sync = false
		w.call++
		x.syncing = w.call
		w.perform(w.s.c.Sync(w.s.now, &w.s.topics, x.syncing, SyncRequest{
			Group: "g", MemberID: c.id, InstanceID: c.instance, Generation: c.epoch, Assignments: x.given,
		}))
		if x.syncing != 0 && lost {
			x.syncing, x.sync = 0, true
		}
	default:
		e, err := w.s.c.Heartbeat(w.s.now, &w.s.topics, HeartbeatRequest{Group: "g", MemberID: c.id, InstanceID: c.instance, Generation: c.epoch})
		w.s.perform(e)
		w.refused(c, err)
	}
}

func (w *randomGroup) join(c *randomClient) {
	x, id := c.classic, c.id
	if !x.known {
		id = ""
	}
	x.known, x.rejoin, x.sync = true, false, false
	w.call++
	x.joining = w.call
	w.perform(w.s.c.Join(w.s.now, &w.s.topics, x.joining, JoinRequest{
		Group: "g", MemberID: id, NewMemberID: c.id, InstanceID: c.instance, ClientID: "client", Host: "/host", ProtocolType: consumerProtocol,
		SessionTimeout: 20 * time.Second, RebalanceTimeout: 10 * time.Minute, // members are there until their sessions end
		Protocols: []Protocol{{"cooperative", randomSubscription(c.names, c.owned)}},
	}))
}

// refused has a client do what an error asks for.
func (w *randomGroup) refused(c *randomClient, err *kerr.Error) {
	x := c.classic
	switch err {
	case nil:
		return
	case kerr.RebalanceInProgress:
	case kerr.IllegalGeneration:
		c.owned, c.stale = nil, false
	default:
		w.next++
		c.id, c.owned, c.stale, x.known = fmt.Sprintf("m%d", w.next), nil, false, false
	}
	x.rejoin, x.sync = true, false
}

// perform performs what a request or the time has done, and has clients hear of it.
func (w *randomGroup) perform(e Effects) {
	w.s.perform(e)
	for _, r := range e.Replies {
		for _, c := range w.clients {
			switch x := c.classic; {
			case x == nil || r.Call == 0:
			case r.Call == x.joining:
				x.joining = 0
				w.joined(c, r.Join)
			case r.Call == x.syncing:
				x.syncing = 0
				w.synced(c, r.Sync)
			}
		}
	}
}

func (w *randomGroup) joined(c *randomClient, r *JoinResult) {
	if r.Err != nil {
		w.refused(c, r.Err)
		return
	}
	x := c.classic
	c.epoch, x.sync, x.given, x.again = r.Generation, true, nil, false
	if r.Leader == c.id {
		x.given, x.again = w.cooperate(r.Members)
	}
}

// synced has a client give up what it may not have, and read what is new; having given up something, it joins again.
func (w *randomGroup) synced(c *randomClient, r *SyncResult) {
	if r.Err != nil {
		w.refused(c, r.Err)
		return
	}
	named, _, ok := decodeAssignment(r.Assignment)
	if !ok && len(r.Assignment) > 0 {
		w.s.t.Errorf("assignment % x", r.Assignment)
	}
	told := partitionsOf(named, &w.s.topics)
	_, gone := split(c.owned, told)
	c.owned, c.stale = told, false
	c.classic.rejoin = c.classic.again || len(gone) > 0
	c.classic.again = false
}

// cooperate is the assignor of a leader: nobody gets what another has, which has to give it up first.
func (w *randomGroup) cooperate(members []JoinMember) (given map[string][]byte, again bool) {
	has := map[Partition]string{}
	readers := map[string][]string{}
	for _, m := range members {
		s, ok := decodeSubscription(m.Metadata)
		if !ok {
			w.s.t.Fatalf("subscription % x", m.Metadata)
		}
		for _, p := range partitionsOf(s.owned, &w.s.topics) {
			has[p] = m.ID
		}
		for _, name := range s.topics {
			readers[name] = append(readers[name], m.ID)
		}
	}
	assigned := map[string][]Partition{}
	for _, name := range sortedKeys(readers) {
		for i := range w.s.topics.partitions[name] {
			p := Partition{topicNamed(name), i}
			owner, owned := has[p]
			to := owner
			if !slices.Contains(readers[name], owner) || !w.quiet && w.r.IntN(4) == 0 {
				to = readers[name][w.r.IntN(len(readers[name]))]
			}
			if owned && to != owner {
				again = true
				continue
			}
			assigned[to] = append(assigned[to], p)
		}
	}
	given = map[string][]byte{}
	for _, m := range members {
		given[m.ID] = encodeAssignment(1, namesOf(assigned[m.ID], &w.s.topics))
	}
	return given, again
}

func randomSubscription(names []string, owned []Partition) []byte {
	b := binary.BigEndian.AppendUint16(nil, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(len(names)))
	for _, name := range names {
		b = appendShort(b, name)
	}
	b = binary.BigEndian.AppendUint32(b, ^uint32(0))
	has := encodeAssignment(0, namesOf(owned, &scriptTopics{partitions: map[string]int32{"t0": 12, "t1": 12, "t2": 12}}))
	return append(b, has[2:len(has)-4]...)
}

// TestMixedMembersNeverShare is TestConsumersNeverShare with members of both protocols, and some that change theirs: the group is upgraded and
// downgraded as they come and go.
func TestMixedMembersNeverShare(t *testing.T) {
	t.Parallel()
	kinds := map[bool]int{}
	for seed := range uint64(40) {
		w := newRandomGroup(t, rand.New(rand.NewPCG(seed, 1848)))
		w.mixed = true
		for range 400 {
			w.step()
			w.check(seed)
			if g := w.s.c.groups["g"]; g != nil && !g.empty() {
				kinds[g.consumer != nil]++
			}
			if t.Failed() {
				return
			}
		}
		w.quiet = true
		for range 150 {
			w.s.now = w.s.now.Add(time.Second)
			w.tick()
			for _, c := range slices.Clone(w.clients) {
				w.beat(c, false)
			}
			w.check(seed)
		}
		w.checkComplete(seed)
		if t.Failed() {
			return
		}
	}
	if kinds[true] < 1000 || kinds[false] < 1000 {
		t.Errorf("%d steps on KIP-848 groups, %d on classic ones", kinds[true], kinds[false])
	}
}

func (w *randomGroup) tick() {
	w.perform(w.s.c.Tick(w.s.now, &w.s.topics))
	w.noteStale()
}

// noteStale notes which classic clients were taken out: one may join again, under its id, before it has heard of that.
func (w *randomGroup) noteStale() {
	for _, c := range w.clients {
		c.stale = c.classic != nil && len(c.owned) > 0 && (c.stale || !w.member(c))
	}
}

func (w *randomGroup) member(c *randomClient) bool {
	g := w.s.c.groups["g"]
	return g != nil && (g.consumer != nil && g.consumer.members[c.id] != nil || g.members[c.id] != nil)
}

// disconnect has clients ask again what they wait for, after a restart.
func (w *randomGroup) disconnect() {
	for _, c := range w.clients {
		if x := c.classic; x != nil {
			x.rejoin, x.sync = x.rejoin || x.joining != 0, x.sync || x.syncing != 0
			x.joining, x.syncing = 0, 0
		}
	}
}

// switches has a client come back with the other protocol: a static one in its place, another as somebody else.
func (w *randomGroup) switches(c *randomClient) {
	w.next++
	was := c.id
	c.id, c.epoch, c.owned, c.told, c.full = fmt.Sprintf("m%d", w.next), joinEpoch, nil, nil, false
	if c.classic != nil {
		c.classic = nil
	} else {
		c.classic = &classicClient{}
	}
	if c.instance == "" && w.r.IntN(2) == 0 { // else it has died
		e, _, _ := w.s.c.Leave(w.s.now, &w.s.topics, "g", []LeaveMember{{MemberID: was}})
		w.perform(e)
	}
}
