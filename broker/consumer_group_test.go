package broker_test

import (
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// quick has members of KIP-848 groups heard of often. A session has to outlast a pause of the machine, where its end would change what is
// counted.
func quick(session time.Duration) brokertest.Option {
	return brokertest.Config(func(c *broker.Config) {
		c.GroupHeartbeatInterval, c.GroupSessionTimeout = 30*time.Millisecond, session
	})
}

// TestConsumerGroups: members of a KIP-848 group share partitions, consume everything once, and take over from one that leaves.
func TestConsumerGroups(t *testing.T) {
	t.Parallel()
	for name, balancer := range map[string]kgo.GroupBalancer{"uniform": kgo.StickyBalancer(), "range": kgo.RangeBalancer()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t, quick(time.Minute))
			cl := client(t, b)
			createTopic(t, cl, "t", 4)
			one := joinMember(t, b, kgo.ServerSideBalancer(), kgo.Balancers(balancer))
			eventually(t, "the first member has all partitions", func() bool { return one.partitions() == 4 })
			two := joinMember(t, b, kgo.ServerSideBalancer(), kgo.Balancers(balancer))
			eventually(t, "two each", func() bool { return one.partitions() == 2 && two.partitions() == 2 })
			if err := cl.ProduceSync(testContext(t), numbered("t", 0, 200)...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "everything consumed", func() bool { return one.count()+two.count() == 200 })
			d := describeConsumers(t, cl, "g")
			if d.State != "Stable" || d.AssignorName != name || len(d.Members) != 2 || d.Epoch != d.AssignmentEpoch || d.Epoch != 3 {
				t.Errorf("%+v", d)
			}
			one.LeaveGroup()
			eventually(t, "the second has all", func() bool { return two.partitions() == 4 })
			if err := cl.ProduceSync(testContext(t), numbered("t", 200, 300)...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the rest consumed", func() bool { return two.countFrom("t", 200, 300) == 100 })
			if err := two.CommitUncommittedOffsets(testContext(t)); err != nil {
				t.Error(err)
			}
			two.LeaveGroup()
			end, err := kadm.NewClient(cl).Lag(testContext(t), "g")
			if err != nil || end["g"].Lag.Total() != 0 {
				t.Errorf("lag %d, %v", end["g"].Lag.Total(), err)
			}
		})
	}
}

// countFrom returns how many of the numbered records the member has seen.
func (m *groupMember) countFrom(topic string, from, to int) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range numbered(topic, from, to) {
		if m.records[string(r.Value)] > 0 {
			n++
		}
	}
	return n
}

// TestConsumerGroupExpires: a member that dies is taken out when its session expires; a topic that grows is noticed; so are topics that a
// pattern matches.
func TestConsumerGroupExpires(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, quick(2*time.Second))
	cl := client(t, b)
	createTopic(t, cl, "t", 2)
	one := joinMember(t, b, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()), kgo.ConsumeRegex(), kgo.ConsumeTopics("t.*"), kgo.MetadataMinAge(50*time.Millisecond), kgo.MetadataMaxAge(200*time.Millisecond))
	dead := joinMember(t, b, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()), kgo.InstanceID("dead"))
	eventually(t, "one each", func() bool { return one.partitions() == 1 && dead.partitions() == 1 })
	dead.Close() // a static member does not leave
	eventually(t, "all partitions again", func() bool { return one.partitions() == 2 })
	if _, err := kadm.NewClient(cl).CreatePartitions(testContext(t), 3, "t"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new partitions", func() bool { return one.partitions() == 5 })
	createTopic(t, cl, "t2", 7) // members are watched by partition number
	eventually(t, "the new topic", func() bool { return one.partitions() == 7 })
}

// TestConsumerGroupTransactions: exactly once through a KIP-848 group whose members come and go.
func TestConsumerGroupTransactions(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, quick(time.Minute), brokertest.Memory())
	cl := client(t, b)
	createTopic(t, cl, "from", 4)
	createTopic(t, cl, "to", 1)
	const n = 2000
	if err := cl.ProduceSync(testContext(t), numbered("from", 0, n)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stops := map[string]chan struct{}{"one": make(chan struct{}), "two": make(chan struct{})}
	for id, stop := range stops {
		wg.Go(func() {
			if err := copyLoop(t, b, id, stop, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
	}
	reader := client(t, b, kgo.ConsumeTopics("to"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := map[string]int{}
	for records := 0; records < n; {
		fs := reader.PollFetches(testContext(t))
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++; records++ })
		if stop := stops["one"]; stop != nil && records > n/3 {
			close(stop)
			delete(stops, "one")
		}
	}
	close(stops["two"])
	wg.Wait()
	if len(seen) != n {
		t.Errorf("%d of %d values", len(seen), n)
	}
	for v, times := range seen {
		if times != 1 {
			t.Errorf("%s: %d times", v, times)
		}
	}
}

func describeConsumers(t testing.TB, cl *kgo.Client, name string) kmsg.ConsumerGroupDescribeResponseGroup {
	t.Helper()
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{name}
	r := raw[*kmsg.ConsumerGroupDescribeResponse](t, cl, req)
	if len(r.Groups) != 1 || r.Groups[0].ErrorCode != 0 {
		t.Fatalf("%+v", r.Groups)
	}
	return r.Groups[0]
}

// beat sends a heartbeat of a member. Epoch 0 joins, with the topics as its subscription.
func beat(t testing.TB, c *rawConn, member string, epoch int32, topics ...string) *kmsg.ConsumerGroupHeartbeatResponse {
	t.Helper()
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = "g", member, epoch
	if epoch == 0 {
		req.RebalanceTimeoutMillis, req.Topics, req.SubscribedTopicNames = 60_000, []kmsg.ConsumerGroupHeartbeatRequestTopic{}, topics
	}
	return ask[*kmsg.ConsumerGroupHeartbeatResponse](t, c, 1, req)
}

// TestConsumerGroupKeepsItsEpochs: over a restart, and over a power cut.
func TestConsumerGroupKeepsItsEpochs(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	createTopic(t, client(t, b), "t", 3)
	c := dialRaw(t, b)
	if r := beat(t, c, "a", 0, "t"); r.ErrorCode != 0 || r.MemberEpoch != 2 || r.Assignment == nil || len(r.Assignment.Topics[0].Partitions) != 3 || r.HeartbeatIntervalMillis != 5000 {
		t.Fatalf("%+v", r)
	}
	if r := beat(t, c, "b", 0, "t"); r.ErrorCode != 0 || r.MemberEpoch != 3 || len(r.Assignment.Topics) != 0 {
		t.Fatalf("%+v", r)
	}
	before := describeConsumers(t, client(t, b), "g")
	for name, next := range map[string]*brokertest.Broker{"crash": b.Crash(t, 50, 1), "restart": b.Restart(t)} {
		if after := describeConsumers(t, client(t, next), "g"); !reflect.DeepEqual(after, before) {
			t.Errorf("%s:\n%+v\n%+v", name, before, after)
		}
		if r := beat(t, dialRaw(t, next), "b", 3); r.ErrorCode != 0 || r.MemberEpoch != 3 || r.Assignment != nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestConsumerGroupAmongOthers: what other requests say of a KIP-848 group.
func TestConsumerGroupAmongOthers(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	cl := client(t, b)
	createTopic(t, cl, "t", 1)
	c := dialRaw(t, b)
	beat(t, c, "a", 0, "t")
	joinMember(t, b, kgo.ConsumerGroup("classic"))
	eventually(t, "a classic group is there", func() bool { return groupType(t, cl, "classic") == "classic Stable" })
	for kind, name := range map[string]string{"Consumer": "g", "classic": "classic"} {
		list := kmsg.NewPtrListGroupsRequest()
		list.TypesFilter = []string{kind}
		if r := raw[*kmsg.ListGroupsResponse](t, cl, list); len(r.Groups) != 1 || r.Groups[0].Group != name || r.Groups[0].ProtocolType != "consumer" {
			t.Errorf("%s: %+v", kind, r.Groups)
		}
	}
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{"g"}
	if r := ask[*kmsg.DescribeGroupsResponse](t, c, 6, describe); r.Groups[0].ErrorCode != kerr.GroupIDNotFound.Code || r.Groups[0].State != "Dead" {
		t.Errorf("by the classic key: %+v", r.Groups[0])
	}
	consumers := kmsg.NewPtrConsumerGroupDescribeRequest()
	consumers.Groups = []string{"classic", ""}
	r := raw[*kmsg.ConsumerGroupDescribeResponse](t, cl, consumers)
	if r.Groups[0].ErrorCode != kerr.GroupIDNotFound.Code || r.Groups[1].ErrorCode != kerr.InvalidGroupID.Code {
		t.Errorf("%+v", r.Groups)
	}
	fetch := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.MemberID, g.MemberEpoch = "g", kmsg.StringPtr("a"), 7
	fetch.Groups = append(fetch.Groups, g)
	if r := ask[*kmsg.OffsetFetchResponse](t, c, 9, fetch); r.Groups[0].ErrorCode != kerr.StaleMemberEpoch.Code {
		t.Errorf("%+v", r.Groups[0])
	}
	for _, want := range []error{kerr.NonEmptyGroup, nil} {
		d, err := kadm.NewClient(cl).DeleteGroup(testContext(t), "g")
		if !errors.Is(errors.Join(err, d.Err), want) || (want == nil) != (errors.Join(err, d.Err) == nil) {
			t.Errorf("delete: %v, %v, want %v", err, d.Err, want)
		}
		beat(t, c, "a", -1)
	}
}
