package group

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The epochs that mean something else in a ConsumerGroupHeartbeat.
const (
	joinEpoch        = 0  // the member joins, or joins again
	leaveEpoch       = -1 // it leaves
	leaveStaticEpoch = -2 // a static member leaves, and comes back
)

// Topics is what is known of topics at the moment of an event.
type Topics interface {
	// Version changes whenever a topic comes, goes or grows.
	Version() uint64
	// Topic returns the id of a topic and how many partitions it has.
	Topic(name string) (id TopicID, partitions int32, ok bool)
	// Name returns the name of a topic.
	Name(id TopicID) (name string, ok bool)
	// Matching returns the names that match, sorted.
	Matching(match func(name string) bool) []string
}

// Config is what KIP-848 groups go by.
type Config struct {
	// Heartbeat is how often members are to be heard of, Session how long they may be silent
	// (group.consumer.heartbeat.interval.ms, group.consumer.session.timeout.ms). Zero: 5 s and 45 s, as Kafka.
	Heartbeat, Session time.Duration
	// Migration says which groups may change their protocol while they have members.
	Migration Migration
}

func (c Config) withDefaults() Config {
	c.Heartbeat, c.Session = cmp.Or(c.Heartbeat, 5*time.Second), cmp.Or(c.Session, 45*time.Second)
	return c
}

// memberState is how far a member has come on its way to its target.
type memberState uint8

const (
	// reconciled: it has what its epoch's target gives it.
	reconciled memberState = iota
	// unrevoked: it is told to give partitions up, and has not said that it has.
	unrevoked
	// unreleased: it waits for partitions that others have not given up.
	unreleased
)

// String returns Kafka's name of the state.
func (s memberState) String() string {
	return [...]string{"STABLE", "UNREVOKED_PARTITIONS", "UNRELEASED_PARTITIONS"}[s]
}

// consumerMember is one member of a KIP-848 group.
type consumerMember struct {
	id, instance, rack string // instance is empty for a dynamic member
	clientID, host     string
	rebalance          time.Duration
	assignor           string   // asked for; empty: none
	names              []string // subscribed to, sorted
	pattern            string   // regular expression subscribed to; empty: none
	matched            []string // what pattern stands for, sorted
	epoch, previous    int32
	state              memberState
	assigned           []Partition // sorted
	revoking           []Partition // sorted: assigned before, to be given up
	// since is the epoch in which it was given a partition that it has (KIP-1251). One that is not in it was given before that was recorded.
	since   map[Partition]int32
	classic *classicProtocol // of a member that speaks the classic protocol; nil: it speaks that of KIP-848

	// Memory only (G2).
	deadline   time.Time // of the session
	revokeDead time.Time // unrevoked: when the member is fenced
	checked    uint64    // Topics.Version that matched is of; 0: none
	compiled   *regexp.Regexp
	dirty      bool // to be recorded
}

// consumerGroup is what a KIP-848 group has instead of generations.
type consumerGroup struct {
	epoch       int32  // raised when members or the topics that they read change
	topics      uint64 // digest of these topics at that epoch
	targetEpoch int32  // of the epoch that target was made for
	target      map[string][]Partition
	members     map[string]*consumerMember
	instances   map[string]string // instance id to member id

	checked uint64 // memory only: Topics.Version that topics was compared with; 0: none
}

func newConsumerGroup() *consumerGroup {
	return &consumerGroup{epoch: 1, target: make(map[string][]Partition), members: make(map[string]*consumerMember), instances: make(map[string]string)}
}

// becomeConsumer makes a group one of KIP-848. It keeps its offsets, and nothing else of what it was.
func (g *group) becomeConsumer(k *consumerGroup) {
	g.state, g.generation, g.protocolType, g.protocol, g.leader = Empty, 0, "", "", ""
	g.emptySince, g.recorded = 0, nil
	g.rebalanceDead, g.syncDead, g.unsynced = time.Time{}, time.Time{}, nil
	clear(g.members)
	clear(g.instances)
	clear(g.promised)
	g.consumer = k
}

// empty reports whether a group of either kind has no members.
func (g *group) empty() bool {
	if g.consumer != nil {
		return len(g.consumer.members) == 0
	}
	return g.state == Empty
}

// stateName returns Kafka's name of the state of a KIP-848 group.
func (g *consumerGroup) stateName() string {
	switch {
	case len(g.members) == 0:
		return "Empty"
	case g.epoch > g.targetEpoch:
		return "Assigning"
	}
	for _, m := range g.members {
		if m.state != reconciled || m.epoch != g.targetEpoch {
			return "Reconciling"
		}
	}
	return "Stable"
}

// add and remove are the only ones who change who is a member. Of an id that is there already, add takes the place, and every instance id
// is that of a member.
func (g *consumerGroup) add(m *consumerMember) {
	if was := g.members[m.id]; was != nil {
		delete(g.instances, was.instance)
	}
	g.members[m.id] = m
	if m.instance != "" {
		g.instances[m.instance] = m.id
	}
}

func (g *consumerGroup) remove(m *consumerMember) {
	delete(g.members, m.id)
	delete(g.target, m.id)
	if m.instance != "" && g.instances[m.instance] == m.id {
		delete(g.instances, m.instance)
	}
}

// static returns the member with an instance id, and checks that it is the one with the member id, if that is not empty.
func (g *consumerGroup) static(instance, id string) (*consumerMember, *kerr.Error) {
	current, ok := g.instances[instance]
	switch {
	case !ok:
		return nil, kerr.UnknownMemberID
	case id != "" && current != id:
		return nil, kerr.FencedInstanceID
	}
	return g.members[current], nil
}

// reads returns the names of the topics that a member subscribes to, by name and by pattern.
func (m *consumerMember) reads() []string {
	if len(m.matched) == 0 {
		return m.names
	}
	all := slices.Concat(m.names, m.matched)
	slices.Sort(all)
	return slices.Compact(all)
}

// has returns what the member has been given, and has not said to have given up.
func (m *consumerMember) has() []Partition {
	if len(m.revoking) == 0 {
		return m.assigned
	}
	all := slices.Concat(m.assigned, m.revoking)
	slices.SortFunc(all, comparePartitions)
	return all
}

// subscribed reports whether any member reads the topic.
func (g *consumerGroup) subscribed(topic string) bool {
	for _, m := range g.members {
		if slices.Contains(m.names, topic) || slices.Contains(m.matched, topic) {
			return true
		}
	}
	return false
}
