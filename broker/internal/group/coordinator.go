package group

import (
	"container/heap"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	// MinSessionTimeout and MaxSessionTimeout bound what a member may ask for (group.min.session.timeout.ms and
	// group.max.session.timeout.ms). The minimum is lower than Kafka's 6 s, so that a takeover need not take that long.
	MinSessionTimeout = 100 * time.Millisecond
	MaxSessionTimeout = 30 * time.Minute

	// maxMembers bounds a group (group.max.size), maxGroups the coordinator.
	maxMembers = 1000
	maxGroups  = 10_000
	// maxProtocolBytes bounds what the classic members of a group say of themselves, taken together. A generation, or a change of kind, is
	// recorded whole: the entry must be one that the log takes, since memory has changed by then.
	maxProtocolBytes = 32 << 20
	// maxProtocols bounds what a classic member can be assigned by: each is compared with those of every other member.
	maxProtocols = 100
	// maxMetadata bounds the metadata string of an offset (offset.metadata.max.bytes).
	maxMetadata = 4096
)

// Call names a request that waits for an answer. The shell gives them out.
type Call uint64

// Effects is what must happen because of an event: first Records are made durable, in one entry and in this order, and
// replayed; then Replies are sent.
type Effects struct {
	Records [][]byte
	Replies []Reply
}

// Reply answers a call. Exactly one of Join and Sync is set.
type Reply struct {
	Call Call
	Join *JoinResult
	Sync *SyncResult
}

func (e *Effects) join(call Call, r JoinResult) {
	e.Replies = append(e.Replies, Reply{Call: call, Join: &r})
}
func (e *Effects) sync(call Call, r SyncResult) {
	e.Replies = append(e.Replies, Reply{Call: call, Sync: &r})
}

// Coordinator is the state of all groups. New makes one.
type Coordinator struct {
	groups  map[string]*group
	staged  map[int64]map[string]map[Partition]offset // by producer id, group
	timers  timerHeap
	config  Config
	lastSeq uint64 // of offset changes, in log order (G4)
}

// New returns a coordinator without groups.
func New(config Config) *Coordinator {
	return &Coordinator{groups: make(map[string]*group), staged: make(map[int64]map[string]map[Partition]offset), config: config.withDefaults()}
}

// Recovered starts the timers of what was replayed (G2). It is called once, before the first event.
func (c *Coordinator) Recovered(now time.Time) {
	for _, name := range sortedKeys(c.groups) {
		g := c.groups[name]
		for _, m := range g.members {
			g.touch(m, now)
		}
		if g.state == CompletingRebalance {
			g.awaitSyncs(now)
		}
		if g.state == PreparingRebalance {
			g.rebalanceDead = now.Add(g.rebalanceTimeout())
		}
		if g.consumer != nil {
			g.consumer.recovered(now, c.config.Session)
		}
		c.arm(g)
	}
}

// Next returns when Tick has something to do next; ok is false if never.
func (c *Coordinator) Next() (at time.Time, ok bool) {
	if len(c.timers) == 0 || c.timers[0].wake.IsZero() {
		return time.Time{}, false
	}
	return c.timers[0].wake, true
}

// Tick lets pass what is due by now: members whose sessions have expired, rebalances that have waited long enough.
func (c *Coordinator) Tick(now time.Time, topics Topics) Effects {
	var e Effects
	for len(c.timers) > 0 {
		g := c.timers[0]
		if g.wake.IsZero() || g.wake.After(now) {
			break
		}
		if g.consumer != nil {
			c.expireConsumers(now, topics, g, &e)
		} else {
			g.expire(now, &e)
		}
		g.wake = g.earliest()
		heap.Fix(&c.timers, g.heapIndex)
	}
	return e
}

// group returns the group of that name, and makes it if create is set.
func (c *Coordinator) group(name string, create bool) (*group, *kerr.Error) {
	if g := c.groups[name]; g != nil || !create {
		return g, nil
	}
	if len(c.groups) >= maxGroups {
		return nil, kerr.PolicyViolation
	}
	g := newGroup(name)
	c.groups[name] = g
	heap.Push(&c.timers, g)
	return g, nil
}

// arm puts g where its earliest deadline belongs. Deadlines that have moved to later need not be armed: Tick looks again.
func (c *Coordinator) arm(g *group) {
	at := g.earliest()
	if at.IsZero() || (!g.wake.IsZero() && !at.Before(g.wake)) {
		return
	}
	g.wake = at
	heap.Fix(&c.timers, g.heapIndex)
}

// timerHeap orders groups by wake; those without one come last.
type timerHeap []*group

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	a, b := h[i].wake, h[j].wake
	if a.IsZero() || b.IsZero() {
		return !a.IsZero() && b.IsZero()
	}
	return a.Before(b)
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}
func (h *timerHeap) Push(x any) {
	g := x.(*group)
	g.heapIndex = len(*h)
	*h = append(*h, g)
}
func (h *timerHeap) Pop() any {
	old := *h
	g := old[len(old)-1]
	*h = old[:len(old)-1]
	return g
}
