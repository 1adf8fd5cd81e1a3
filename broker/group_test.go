package broker_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// groupMember is a consumer whose assignment can be watched.
type groupMember struct {
	*kgo.Client
	mu       sync.Mutex
	assigned map[int32]bool
	lost     int
	records  map[string]int
	rounds   int
}

func joinMember(t testing.TB, b *brokertest.Broker, opts ...kgo.Opt) *groupMember {
	t.Helper()
	m := &groupMember{assigned: make(map[int32]bool), records: make(map[string]int)}
	mark := func(assigned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if assigned {
				m.rounds++
			}
			for _, ps := range parts {
				for _, p := range ps {
					if assigned {
						m.assigned[p] = true
					} else {
						delete(m.assigned, p)
						m.lost++
					}
				}
			}
		}
	}
	m.Client = client(t, b, append([]kgo.Opt{
		kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.HeartbeatInterval(50 * time.Millisecond), kgo.SessionTimeout(2 * time.Second),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(100 * time.Millisecond),
		kgo.OnPartitionsAssigned(mark(true)), kgo.OnPartitionsRevoked(mark(false)), kgo.OnPartitionsLost(mark(false)),
	}, opts...)...)
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			fs := m.PollFetches(ctx)
			m.mu.Lock()
			fs.EachRecord(func(r *kgo.Record) { m.records[string(r.Value)]++ })
			m.mu.Unlock()
		}
	}()
	return m
}

func (m *groupMember) partitions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.assigned)
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func TestGroupsRebalance(t *testing.T) {
	t.Parallel()
	for name, balancer := range map[string]kgo.GroupBalancer{"cooperative": kgo.CooperativeStickyBalancer(), "eager": kgo.RangeBalancer()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t)
			cl := client(t, b)
			createTopic(t, cl, "t", 4)
			one := joinMember(t, b, kgo.Balancers(balancer))
			eventually(t, "the first member has all partitions", func() bool { return one.partitions() == 4 })
			two := joinMember(t, b, kgo.Balancers(balancer))
			eventually(t, "two each", func() bool { return one.partitions() == 2 && two.partitions() == 2 })
			if err := cl.ProduceSync(testContext(t), numbered("t", 0, 200)...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "everything consumed", func() bool { return one.count()+two.count() == 200 })
			one.LeaveGroup()
			eventually(t, "the second has all", func() bool { return two.partitions() == 4 })
		})
	}
}

func (m *groupMember) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records)
}

// TestDeadMemberExpires: a member that dies without leaving is dropped when its session expires.
func TestDeadMemberExpires(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Listen())
	createTopic(t, client(t, b), "t", 4)
	one := joinMember(t, b)
	eventually(t, "all partitions", func() bool { return one.partitions() == 4 })
	dead := joinMember(t, b, kgo.SessionTimeout(300*time.Millisecond), kgo.HeartbeatInterval(50*time.Millisecond), kgo.InstanceID("dead"))
	eventually(t, "two each", func() bool { return one.partitions() == 2 && dead.partitions() == 2 })
	dead.Close() // a static member does not leave
	eventually(t, "all partitions again", func() bool { return one.partitions() == 4 })
}

// TestStaticMemberComesBack: the restart of a static member moves no partition.
func TestStaticMemberComesBack(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	createTopic(t, client(t, b), "t", 4)
	one := joinMember(t, b, kgo.InstanceID("one"))
	two := joinMember(t, b, kgo.InstanceID("two"))
	eventually(t, "two each", func() bool { return one.partitions() == 2 && two.partitions() == 2 })
	one.mu.Lock()
	lost := one.lost
	one.mu.Unlock()
	two.Close()
	again := joinMember(t, b, kgo.InstanceID("two"))
	eventually(t, "its two partitions back", func() bool { return again.partitions() == 2 })
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.lost != lost {
		t.Errorf("the other member lost %d partitions", one.lost-lost)
	}
}

// TestRestartIsAPause: when the broker is cut off and comes back, nobody is made to rebalance and nothing that was
// acknowledged is gone.
func TestRestartIsAPause(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	createTopic(t, client(t, b), "t", 4)
	sw := &switchable{broker: b}
	dial := kgo.Dialer(sw.dial)
	one, two := joinMember(t, b, dial, kgo.RequestRetries(100)), joinMember(t, b, dial, kgo.RequestRetries(100))
	eventually(t, "two each", func() bool { return one.partitions() == 2 && two.partitions() == 2 })
	if err := client(t, b, dial).ProduceSync(testContext(t), numbered("t", 0, 100)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything consumed", func() bool { return one.count()+two.count() == 100 })
	rounds := -1
	eventually(t, "the last callbacks of the rebalance", func() bool { // a member that keeps what it has is called too, some time later
		before := rounds
		rounds = one.state() + two.state()
		time.Sleep(100 * time.Millisecond)
		return before == rounds
	})

	crashed := b.Crash(t, 0, 1)
	sw.to(crashed)
	if err := client(t, crashed).ProduceSync(testContext(t), numbered("t", 100, 200)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything consumed after the crash", func() bool { return one.count()+two.count() == 200 })
	if got := one.state() + two.state(); got != rounds {
		t.Errorf("%d assignments, then %d", rounds, got)
	}
}

func (m *groupMember) state() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rounds + m.lost
}

// TestLargeGroupRequests: the assignment of a large group, and a commit of many partitions with metadata, are larger than other requests.
func TestLargeGroupRequests(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	cl := client(t, b)
	const partitions = 500
	createTopic(t, cl, "t", partitions)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = "g", "consumer", 10_000, 10_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: make([]byte, 3<<20)}}
	c := dialRaw(t, b)
	joined := ask[*kmsg.JoinGroupResponse](t, c, 3, join)
	if joined.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(joined.ErrorCode))
	}
	leader := kmsg.NewPtrSyncGroupRequest()
	leader.Group, leader.MemberID, leader.Generation = "g", joined.MemberID, joined.Generation
	assignment := make([]byte, 12<<20)
	assignment[len(assignment)-1] = 7
	leader.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: assignment}}
	if r := ask[*kmsg.SyncGroupResponse](t, c, 2, leader); r.ErrorCode != 0 || !bytes.Equal(r.MemberAssignment, assignment) {
		t.Errorf("%v, %d bytes", kerr.ErrorForCode(r.ErrorCode), len(r.MemberAssignment))
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.MemberID, commit.Generation = "g", joined.MemberID, joined.Generation
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = "t"
	for i := range int32(partitions) {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Metadata = i, kmsg.StringPtr(strings.Repeat("m", 4096))
		rt.Partitions = append(rt.Partitions, rp)
	}
	commit.Topics = append(commit.Topics, rt)
	for _, p := range ask[*kmsg.OffsetCommitResponse](t, c, 8, commit).Topics[0].Partitions {
		if p.ErrorCode != 0 {
			t.Fatalf("partition %d: %v", p.Partition, kerr.ErrorForCode(p.ErrorCode))
		}
	}
}
