package broker_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// newProtocol has a member speak the protocol of KIP-848; the others are of the classic one, cooperative.
var (
	newProtocol     = []kgo.Opt{kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())}
	classicProtocol = []kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}
	eagerProtocol   = []kgo.Opt{kgo.Balancers(kgo.RangeBalancer())}
)

// groupType returns the type and state of a group, as ListGroups tells them.
func groupType(t testing.TB, cl *kgo.Client, name string) string {
	t.Helper()
	for _, g := range raw[*kmsg.ListGroupsResponse](t, cl, kmsg.NewPtrListGroupsRequest()).Groups {
		if g.Group == name {
			return g.GroupType + " " + g.GroupState
		}
	}
	return "none"
}

// TestGroupMigratesOnline: an application goes over to the new protocol member by member, and back, while it runs. Each of its members copies
// in transactions: every record is copied once.
func TestGroupMigratesOnline(t *testing.T) {
	t.Parallel()
	for name, classic := range map[string][]kgo.Opt{"cooperative": classicProtocol, "eager": eagerProtocol} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMigratingCopiers(t)
			m.start("one", classic...)
			m.start("two", classic...)
			m.settle("classic Stable")
			m.start("three", newProtocol...)
			m.settle("consumer Stable")
			m.stop("one")
			m.settle("consumer Stable")
			m.start("four", newProtocol...)
			m.settle("consumer Stable")
			m.stop("two")
			m.settle("consumer Stable")
			m.start("five", classic...)
			m.settle("consumer Stable")
			m.stop("three")
			m.settle("consumer Stable")
			m.stop("four")
			m.settle("classic Stable")
			m.stop("five")
			m.finish()
		})
	}
}

// migratingCopiers are the members of group "copiers", by name, on a broker of their own.
type migratingCopiers struct {
	t        *testing.T
	b        *brokertest.Broker
	cl       *kgo.Client
	reader   *kgo.Client
	wg       sync.WaitGroup
	stops    map[string]chan struct{}
	produced int
	seen     map[string]int
}

func newMigratingCopiers(t *testing.T) *migratingCopiers {
	b := brokertest.Start(t, quick(testTimeout), brokertest.Memory())
	m := &migratingCopiers{t: t, b: b, cl: client(t, b), stops: map[string]chan struct{}{}, seen: map[string]int{}}
	createTopic(t, m.cl, "from", 6)
	createTopic(t, m.cl, "to", 1)
	m.reader = client(t, b, kgo.ConsumeTopics("to"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	t.Cleanup(func() {
		for name := range m.stops {
			m.stop(name)
		}
		m.wg.Wait()
	})
	return m
}

func (m *migratingCopiers) start(name string, opts ...kgo.Opt) {
	stop := make(chan struct{})
	m.stops[name] = stop
	m.wg.Go(func() {
		if err := copyLoop(m.t, m.b, name, stop, append(opts, kgo.SessionTimeout(testTimeout/2))...); err != nil {
			m.t.Errorf("%s: %v", name, err)
		}
	})
}

func (m *migratingCopiers) stop(name string) {
	close(m.stops[name])
	delete(m.stops, name)
}

// settle produces, waits until all that is copied, once, and the group is of that type and state, with the members that run.
func (m *migratingCopiers) settle(state string) {
	m.t.Helper()
	m.produce()
	eventually(m.t, fmt.Sprintf("the group is %s with %d members", state, len(m.stops)), func() bool {
		return groupType(m.t, m.cl, "copiers") == state && m.members() == len(m.stops)
	})
	m.produce()
	for len(m.seen) < m.produced {
		fs := m.reader.PollFetches(testContext(m.t))
		if err := fs.Err(); err != nil {
			m.t.Fatalf("%d of %d records: %v", len(m.seen), m.produced, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if m.seen[string(r.Value)]++; m.seen[string(r.Value)] > 1 {
				m.t.Errorf("%s is copied again", r.Value)
			}
		})
	}
}

func (m *migratingCopiers) produce() {
	m.t.Helper()
	if err := m.cl.ProduceSync(testContext(m.t), numbered("from", m.produced, m.produced+300)...).FirstErr(); err != nil {
		m.t.Fatal(err)
	}
	m.produced += 300
}

// members returns how many members the group has, of either type.
func (m *migratingCopiers) members() int {
	described, err := kadm.NewClient(m.cl).DescribeGroups(testContext(m.t), "copiers")
	if err == nil && len(described["copiers"].Members) > 0 {
		return len(described["copiers"].Members)
	}
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{"copiers"}
	return len(raw[*kmsg.ConsumerGroupDescribeResponse](m.t, m.cl, req).Groups[0].Members)
}

// finish checks that nothing was copied twice at the end, and that the group's positions are those of what was copied.
func (m *migratingCopiers) finish() {
	m.t.Helper()
	m.wg.Wait()
	lag, err := kadm.NewClient(m.cl).Lag(testContext(m.t), "copiers")
	if err != nil || lag["copiers"].Lag.Total() != 0 {
		m.t.Errorf("lag %d, %v", lag["copiers"].Lag.Total(), err)
	}
	ends, err := kadm.NewClient(m.cl).ListCommittedOffsets(testContext(m.t), "to")
	if err != nil {
		m.t.Fatal(err)
	}
	last, _ := ends.Lookup("to", 0)
	records := 0
	all := client(m.t, m.b, kgo.ConsumeTopics("to"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	for at := int64(0); at < last.Offset; {
		fs := all.PollFetches(testContext(m.t))
		if err := fs.Err(); err != nil {
			m.t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if at = r.Offset + 1; !r.Attrs.IsControl() {
				records++
			}
		})
	}
	if records != m.produced {
		m.t.Errorf("%d records copied, of %d", records, m.produced)
	}
}

// TestGroupMigrationPolicy: a broker that does not let groups change refuses members of the other protocol, whichever came first.
func TestGroupMigrationPolicy(t *testing.T) {
	t.Parallel()
	for policy, want := range map[broker.GroupMigration]struct {
		name           string
		upgrade, joins error
	}{
		broker.MigrateBothWays: {"bidirectional", nil, nil},
		broker.MigrateUp:       {"upgrade", nil, nil},
		broker.MigrateDown:     {"downgrade", kerr.GroupIDNotFound, nil},
		broker.MigrateNever:    {"disabled", kerr.GroupIDNotFound, kerr.InconsistentGroupProtocol},
	} {
		t.Run(want.name, func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t, brokertest.Memory(), brokertest.Config(func(c *broker.Config) { c.GroupMigration = policy }))
			cl := client(t, b)
			createTopic(t, cl, "t", 1)
			c := dialRaw(t, b)
			join := kmsg.NewPtrJoinGroupRequest()
			join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = "g", 60_000, 60_000, "consumer"
			join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: consumerMetadata(3, nil, "t")}}
			if r := ask[*kmsg.JoinGroupResponse](t, c, 3, join); r.ErrorCode != 0 {
				t.Fatal(kerr.ErrorForCode(r.ErrorCode))
			}
			if err := kerr.ErrorForCode(beat(t, c, "n", 0, "t").ErrorCode); !errors.Is(err, want.upgrade) {
				t.Errorf("a new member in a classic group: %v, want %v", err, want.upgrade)
			}
			joinMember(t, b, append(newProtocol, kgo.ConsumerGroup("new"))...)
			eventually(t, "the group of the new protocol is there", func() bool { return groupType(t, cl, "new") == "consumer Stable" })
			join.Group = "new"
			if err := kerr.ErrorForCode(ask[*kmsg.JoinGroupResponse](t, c, 3, join).ErrorCode); !errors.Is(err, want.joins) {
				t.Errorf("a classic member in a new group: %v, want %v", err, want.joins)
			}
			if got := brokerConfig(t, cl, "group.consumer.migration.policy"); got != want.name || policy.String() != want.name {
				t.Errorf("it is described as %s, and called %v", got, policy)
			}
		})
	}
	if err := (broker.Config{Dir: "d", GroupMigration: broker.MigrateNever + 1}).Validate(); err == nil {
		t.Error("a policy that there is not is valid")
	}
}

// brokerConfig returns the value of a config of the broker.
func brokerConfig(t testing.TB, cl *kgo.Client, name string) string {
	t.Helper()
	all, err := kadm.NewClient(cl).DescribeBrokerConfigs(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, resource := range all {
		for _, c := range resource.Configs {
			if c.Key == name {
				return c.MaybeValue()
			}
		}
	}
	return ""
}

// TestMixedGroupOutlivesTheBroker: over a restart members of both protocols stay where they are; over a power cut nobody has what another has.
func TestMixedGroupOutlivesTheBroker(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	createTopic(t, client(t, b), "t", 4)
	c := dialRaw(t, b)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = "g", 60_000, 60_000, "consumer"
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "cooperative-sticky", Metadata: consumerMetadata(3, nil, "t")}}
	first := ask[*kmsg.JoinGroupResponse](t, c, 3, join)
	sync := kmsg.NewPtrSyncGroupRequest()
	a := kmsg.NewConsumerMemberAssignment()
	a.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: "t", Partitions: []int32{0, 1, 2, 3}}}
	sync.Group, sync.MemberID, sync.Generation = "g", first.MemberID, 1
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: first.MemberID, MemberAssignment: a.AppendTo(nil)}}
	if r := ask[*kmsg.SyncGroupResponse](t, c, 3, sync); r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	if r := beat(t, c, "n", 0, "t"); r.ErrorCode != 0 || r.MemberEpoch != 2 || len(r.Assignment.Topics) != 0 {
		t.Fatalf("%+v", r)
	}
	join.MemberID, join.Protocols[0].Metadata = first.MemberID, consumerMetadata(3, []int32{0, 1, 2, 3}, "t")
	if r := ask[*kmsg.JoinGroupResponse](t, c, 5, join); r.ErrorCode != 0 || r.Generation != 1 {
		t.Fatalf("%+v", r)
	}
	heartbeat := kmsg.HeartbeatRequest{Group: "g", MemberID: first.MemberID, Generation: 1}
	for name, next := range map[string]*brokertest.Broker{"crash": b.Crash(t, 50, 1), "restart": b.Restart(t)} {
		d := describeConsumers(t, client(t, next), "g")
		if len(d.Members) != 2 || d.Epoch != 2 || d.State != "Reconciling" {
			t.Errorf("%s: %+v", name, d)
		}
		c := dialRaw(t, next)
		if r := ask[*kmsg.HeartbeatResponse](t, c, 4, &heartbeat); r.ErrorCode != kerr.RebalanceInProgress.Code { // it has something to give up still
			t.Errorf("%s: %d", name, r.ErrorCode)
		}
		if r := beat(t, c, "n", 2); r.ErrorCode != 0 || r.Assignment != nil {
			t.Errorf("%s: %+v", name, r)
		}
		join.Protocols[0].Metadata = consumerMetadata(3, []int32{0, 1}, "t")
		if r := ask[*kmsg.JoinGroupResponse](t, c, 5, join); r.ErrorCode != 0 || r.Generation != 2 {
			t.Errorf("%s: %+v", name, r)
		}
		sync := kmsg.SyncGroupRequest{Group: "g", MemberID: first.MemberID, Generation: 2}
		want := a
		want.Version, want.Topics = 3, []kmsg.ConsumerMemberAssignmentTopic{{Topic: "t", Partitions: []int32{0, 1}}}
		if r := ask[*kmsg.SyncGroupResponse](t, c, 3, &sync); r.ErrorCode != 0 || string(r.MemberAssignment) != string(want.AppendTo(nil)) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
