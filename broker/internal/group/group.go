package group

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// State is the state of a group, by Kafka's names.
type State uint8

// The states; the package comment draws the transitions.
const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
)

// String returns Kafka's name of the state.
func (s State) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}[s]
}

// Protocol is one way of assigning that a member supports, with its opaque subscription.
type Protocol struct {
	Name     string
	Metadata []byte
}

// member is one member of a group.
type member struct {
	id, instance   string // instance is empty for a dynamic member
	clientID, host string
	session        time.Duration
	rebalance      time.Duration
	protocols      []Protocol
	assignment     []byte
	order          int // of joining, so that output does not depend on a map

	// Memory only (G2).
	joining, syncing Call      // 0 = none
	deadline         time.Time // of the session; zero while joining
}

// group is one group.
type group struct {
	name         string
	state        State
	generation   int32
	protocolType string
	protocol     string
	leader       string
	members      map[string]*member
	instances    map[string]string // instance id to member id
	offsets      map[Partition]offset
	lastOrder    int
	emptySince   int64  // Empty: when the last member went, in milliseconds; 0: not known, or there was none
	recorded     []byte // the last generation record, which a snapshot repeats

	// consumer is what a KIP-848 group has instead of all the above but name and offsets; nil: it is a classic group.
	consumer *consumerGroup

	// Memory only (G2).
	promised      map[string]time.Time // member ids given out, not joined yet, and when they lapse
	rebalanceDead time.Time            // PreparingRebalance: when members that have not joined are dropped
	syncDead      time.Time            // CompletingRebalance: when members that have not synced are dropped
	unsynced      map[string]struct{}
	wake          time.Time // in Coordinator.timers
	heapIndex     int
}

func newGroup(name string) *group {
	return &group{
		name: name, members: make(map[string]*member), instances: make(map[string]string),
		offsets: make(map[Partition]offset), promised: make(map[string]time.Time),
	}
}

func sortedKeys[M ~map[K]V, K cmp.Ordered, V any](m M) []K { return slices.Sorted(maps.Keys(m)) }

// ordered returns the members in the order of joining.
func (g *group) ordered() []*member {
	return slices.SortedFunc(maps.Values(g.members), func(a, b *member) int { return cmp.Compare(a.order, b.order) })
}

// find checks that a request comes from a member: by its id, and by its instance id if it is static.
func (g *group) find(id, instance string) (*member, *kerr.Error) {
	if instance != "" {
		switch current, ok := g.instances[instance]; {
		case !ok:
			return nil, kerr.UnknownMemberID
		case current != id:
			return nil, kerr.FencedInstanceID
		}
	}
	m := g.members[id]
	if m == nil {
		return nil, kerr.UnknownMemberID
	}
	return m, nil
}

// add makes m a member.
func (g *group) add(m *member) {
	g.lastOrder++
	m.order = g.lastOrder
	g.members[m.id] = m
	if m.instance != "" {
		g.instances[m.instance] = m.id
	}
	if g.leader == "" {
		g.leader = m.id
	}
}

// remove takes m out, and fails what it waits for with err.
func (g *group) remove(m *member, err *kerr.Error, e *Effects) {
	delete(g.members, m.id)
	delete(g.unsynced, m.id)
	if m.instance != "" && g.instances[m.instance] == m.id {
		delete(g.instances, m.instance)
	}
	if m.joining != 0 {
		e.join(m.joining, JoinResult{Err: err, MemberID: m.id, Generation: noGeneration})
	}
	if m.syncing != 0 {
		e.sync(m.syncing, SyncResult{Err: err})
	}
	if g.leader == m.id {
		g.leader = ""
		if rest := g.ordered(); len(rest) > 0 {
			g.leader = rest[0].id
		}
	}
}

// supports reports whether a member with these protocols can join the others.
func (g *group) supports(protocolType string, protocols []Protocol, except string) bool {
	if protocolType == "" || len(protocols) == 0 {
		return false
	}
	if len(g.members) == 0 {
		return true
	}
	if g.protocolType != "" && protocolType != g.protocolType {
		return false
	}
	return slices.ContainsFunc(protocols, func(p Protocol) bool {
		for _, m := range g.members {
			if m.id != except && !m.supports(p.Name) {
				return false
			}
		}
		return true
	})
}

func (m *member) supports(name string) bool {
	return slices.ContainsFunc(m.protocols, func(p Protocol) bool { return p.Name == name })
}

// subscription returns the member's metadata for a protocol.
func (m *member) subscription(name string) []byte {
	for _, p := range m.protocols {
		if p.Name == name {
			return p.Metadata
		}
	}
	return nil
}

// protocolBytes is the size of what a member says of itself.
func protocolBytes(all []Protocol) (n int) {
	for _, p := range all {
		n += len(p.Name) + len(p.Metadata)
	}
	return n
}

// overlong reports whether there is no room for what a member says of itself, in place of what the one whose place it takes has said.
func (g *group) overlong(protocols []Protocol, except string) bool {
	n := protocolBytes(protocols)
	for _, m := range g.members {
		if m.id != except {
			n += protocolBytes(m.protocols)
		}
	}
	return n > maxProtocolBytes
}

// choose returns the protocol that all members support and most prefer. Ties go to the name that comes first.
func (g *group) choose() string {
	votes := make(map[string]int)
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.supports(g.protocolType, []Protocol{p}, "") {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, name := range sortedKeys(votes) {
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

func sameProtocols(a, b []Protocol) bool {
	return slices.EqualFunc(a, b, func(x, y Protocol) bool { return x.Name == y.Name && bytes.Equal(x.Metadata, y.Metadata) })
}
