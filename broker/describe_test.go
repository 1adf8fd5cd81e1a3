package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// TestDescribeGroups: a group with a member is described with its subscription and assignment, and listed by state and type.
func TestDescribeGroups(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl, ctx := client(t, b), testContext(t)
	adm := kadm.NewClient(cl)
	createTopic(t, cl, "t", 3)
	joinMember(t, b, kgo.InstanceID("static"))
	eventually(t, "the member has its partitions", func() bool {
		gs, err := adm.DescribeGroups(ctx, "g")
		g := gs["g"]
		return err == nil && g.State == "Stable" && g.AssignedPartitions()["t"] != nil
	})
	gs, err := adm.DescribeGroups(ctx, "g", "none")
	if err != nil {
		t.Fatal(err)
	}
	g := gs["g"]
	if g.ProtocolType != "consumer" || g.Protocol == "" || len(g.Members) != 1 || *g.Members[0].InstanceID != "static" ||
		len(g.AssignedPartitions()["t"]) != 3 || g.Members[0].ClientHost == "" {
		t.Errorf("group %+v", g)
	}
	if err := gs["none"].Err; !errors.Is(err, kerr.GroupIDNotFound) {
		t.Errorf("no such group: %v", err)
	}
	old := kmsg.NewPtrDescribeGroupsRequest()
	old.Groups = []string{"none"}
	if d := ask[*kmsg.DescribeGroupsResponse](t, dialRaw(t, b), 5, old).Groups[0]; d.ErrorCode != 0 || d.State != "Dead" {
		t.Errorf("no such group, to an old client: %+v", d)
	}
	for _, c := range []struct {
		states, types []string
		want          int
	}{{nil, nil, 1}, {[]string{"stable"}, nil, 1}, {[]string{"Empty"}, nil, 0}, {nil, []string{"Classic"}, 1}, {nil, []string{"consumer"}, 0}} {
		req := kmsg.NewPtrListGroupsRequest()
		req.StatesFilter, req.TypesFilter = c.states, c.types
		if got := raw[*kmsg.ListGroupsResponse](t, cl, req).Groups; len(got) != c.want || c.want > 0 && (got[0].Group != "g" || got[0].GroupState != "Stable") {
			t.Errorf("%v, %v: %+v", c.states, c.types, got)
		}
	}
}

// TestDeleteGroupsAndOffsets: a group with members stays, and so do offsets of topics that they subscribe to; what was deleted
// stays away over a restart.
func TestDeleteGroupsAndOffsets(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl, ctx := client(t, b), testContext(t)
	adm := kadm.NewClient(cl)
	createTopic(t, cl, "t", 3)
	createTopic(t, cl, "other", 1)
	commit := func(group string) {
		t.Helper()
		os := make(kadm.Offsets)
		os.Add(kadm.Offset{Topic: "t", At: 7})
		os.Add(kadm.Offset{Topic: "other", At: 8})
		if err := adm.CommitAllOffsets(ctx, group, os); err != nil {
			t.Fatal(err)
		}
	}
	deleteOffset := func(group, topic string) (groupErr, err error) {
		t.Helper()
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		req.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
		r := raw[*kmsg.OffsetDeleteResponse](t, cl, req)
		if groupErr = kerr.ErrorForCode(r.ErrorCode); groupErr != nil {
			return groupErr, nil
		}
		return nil, kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode)
	}
	commit("g")
	commit("gone")
	if gerr, err := deleteOffset("g", "other"); gerr != nil || err != nil {
		t.Error(gerr, err)
	}
	m := joinMember(t, b)
	eventually(t, "the member joins", func() bool { return m.partitions() == 3 })
	if gerr, err := deleteOffset("g", "t"); gerr != nil || !errors.Is(err, kerr.GroupSubscribedToTopic) {
		t.Errorf("offset of a subscribed topic: %v, %v", gerr, err)
	}
	if gerr, err := deleteOffset("g", "none"); gerr != nil || !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("offset of no topic: %v, %v", gerr, err)
	}
	if gerr, _ := deleteOffset("none", "t"); !errors.Is(gerr, kerr.GroupIDNotFound) {
		t.Errorf("offset of no group: %v", gerr)
	}
	for group, want := range map[string]error{"g": kerr.NonEmptyGroup, "gone": nil, "none": kerr.GroupIDNotFound} {
		r, err := adm.DeleteGroup(ctx, group)
		if err == nil {
			err = r.Err
		}
		if !errors.Is(err, want) {
			t.Errorf("delete %s: %v, want %v", group, err, want)
		}
	}
	cl = client(t, b.Restart(t))
	for group, want := range map[string]int64{"g": 7, "gone": -1} {
		if at, err := fetchOffset(t, cl, group, "t"); err != nil || at != want {
			t.Errorf("%s: %d, %v, want %d", group, at, err, want)
		}
	}
	if at, err := fetchOffset(t, cl, "g", "other"); err != nil || at != -1 {
		t.Errorf("a deleted offset: %d, %v", at, err)
	}
}

// TestDescribeTransactions: transactions and producers are seen while they are open, and after.
func TestDescribeTransactions(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl, ctx := client(t, b), testContext(t)
	adm := kadm.NewClient(cl)
	createTopic(t, cl, "t", 1)
	txn := client(t, b, kgo.TransactionalID("tx-1"))
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := txn.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	state := func() kadm.DescribedTransaction {
		t.Helper()
		ts, err := adm.DescribeTransactions(ctx, "tx-1")
		if err != nil {
			t.Fatal(err)
		}
		return ts["tx-1"]
	}
	start := func() int64 {
		t.Helper()
		var s kadm.TopicsSet
		s.Add("t", 0)
		ps, err := adm.DescribeProducers(ctx, s)
		if err != nil || len(ps["t"].Partitions[0].ActiveProducers) != 1 {
			t.Fatal(ps, err)
		}
		for _, p := range ps["t"].Partitions[0].ActiveProducers {
			return p.CurrentTxnStartOffset
		}
		return 0
	}
	if d := state(); d.State != "Ongoing" || d.Topics["t"] == nil || d.StartTimestamp <= 0 || start() != 0 {
		t.Errorf("open: %+v, begins at %d", d, start())
	}
	id := state().ProducerID
	if err := txn.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if d := state(); d.State != "CompleteCommit" || len(d.Topics) != 0 || start() != -1 {
		t.Errorf("ended: %+v, begins at %d", d, start())
	}
	if ts, err := adm.DescribeTransactions(ctx, "none"); err != nil || !errors.Is(ts["none"].Err, kerr.TransactionalIDNotFound) {
		t.Errorf("unknown: %+v, %v", ts, err)
	}
	for _, c := range []struct {
		name string
		set  func(*kmsg.ListTransactionsRequest)
		want int
		code int16
	}{
		{"all", func(*kmsg.ListTransactionsRequest) {}, 1, 0},
		{"state", func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"CompleteCommit"} }, 1, 0},
		{"other state", func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Ongoing"} }, 0, 0},
		{"producer", func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{id} }, 1, 0},
		{"other producer", func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{id + 1} }, 0, 0},
		{"open for long", func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = time.Hour.Milliseconds() }, 0, 0},
		{"pattern", func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("tx-.") }, 1, 0},
		{"part of it", func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("x-.") }, 0, 0},
		{"bad pattern", func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("(") }, 0, kerr.InvalidRegularExpression.Code},
		{"long pattern", func(r *kmsg.ListTransactionsRequest) {
			r.TransactionalIDPattern = kmsg.StringPtr("tx-." + strings.Repeat("|none", 1000))
		}, 0, kerr.InvalidRegularExpression.Code},
	} {
		req := kmsg.NewPtrListTransactionsRequest()
		c.set(req)
		if r := raw[*kmsg.ListTransactionsResponse](t, cl, req); len(r.TransactionStates) != c.want || r.ErrorCode != c.code {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	req := kmsg.NewPtrListTransactionsRequest()
	req.StateFilters = []string{"Odd"}
	if r := raw[*kmsg.ListTransactionsResponse](t, cl, req); len(r.UnknownStateFilters) != 1 || len(r.TransactionStates) != 0 {
		t.Errorf("unknown state: %+v", r)
	}
}

// TestDescribePartitions goes through all partitions a few at a time, and through what is known of directories and epochs.
func TestDescribePartitions(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl, ctx := client(t, b), testContext(t)
	createTopic(t, cl, "a", 3)
	createTopic(t, cl, "b", 2)
	if err := cl.ProduceSync(ctx, numbered("b", 0, 10)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var seen []string
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 2
	for range 10 {
		r := raw[*kmsg.DescribeTopicPartitionsResponse](t, cl, req)
		for _, rt := range r.Topics {
			for _, p := range rt.Partitions {
				seen = append(seen, fmt.Sprintf("%s-%d", *rt.Topic, p.Partition))
			}
		}
		if r.NextCursor == nil {
			break
		}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: r.NextCursor.Topic, Partition: r.NextCursor.Partition}
	}
	if want := "[a-0 a-1 a-2 b-0 b-1]"; fmt.Sprint(seen) != want {
		t.Errorf("partitions %v, want %s", seen, want)
	}
	one := kmsg.NewPtrDescribeTopicPartitionsRequest()
	one.ResponsePartitionLimit, one.Topics = 10, []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "none"}}
	if r := raw[*kmsg.DescribeTopicPartitionsResponse](t, cl, one); len(r.Topics) != 1 || r.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("unknown topic: %+v", r)
	}

	dirs, err := kadm.NewClient(cl).DescribeAllLogDirs(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := dirs[1][b.Config.Dir]
	if dir.Topics["b"][0].Size+dir.Topics["b"][1].Size < 2*61 || dir.Topics["a"][2].Size != 0 || dir.TotalBytes <= 0 || dir.UsableBytes <= 0 {
		t.Errorf("directory %+v", dir)
	}
	epoch := kmsg.NewPtrOffsetForLeaderEpochRequest()
	epoch.ReplicaID = -1
	epoch.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "b", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{
		{Partition: 0, CurrentLeaderEpoch: 0, LeaderEpoch: 0}, {Partition: 0, CurrentLeaderEpoch: -1, LeaderEpoch: 5},
		{Partition: 0, CurrentLeaderEpoch: 3}, {Partition: 9, CurrentLeaderEpoch: -1},
	}}}
	got := ask[*kmsg.OffsetForLeaderEpochResponse](t, dialRaw(t, b), 4, epoch).Topics[0].Partitions
	if got[0].ErrorCode != 0 || got[0].LeaderEpoch != 0 || got[0].EndOffset != offsetEnd(t, cl, "b") || got[1].EndOffset != -1 || got[1].LeaderEpoch != -1 ||
		got[2].ErrorCode != kerr.UnknownLeaderEpoch.Code || got[3].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("epochs %+v", got)
	}
	cluster := kmsg.NewPtrDescribeClusterRequest()
	if r := raw[*kmsg.DescribeClusterResponse](t, cl, cluster); r.ErrorCode != 0 || r.ClusterID == "" || len(r.Brokers) != 1 {
		t.Errorf("cluster %+v", r)
	}
	cluster.EndpointType = 2
	if r := raw[*kmsg.DescribeClusterResponse](t, cl, cluster); r.ErrorCode != kerr.MismatchedEndpointType.Code {
		t.Errorf("controllers: %+v", r)
	}
}

func offsetEnd(t *testing.T, cl *kgo.Client, topic string) int64 {
	t.Helper()
	ends, err := kadm.NewClient(cl).ListEndOffsets(testContext(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := ends.Lookup(topic, 0)
	return o.Offset
}

// TestRack: the broker says which rack it stands in to whoever asks; a fetch that names the client's is answered as any.
func TestRack(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory(), brokertest.Config(func(c *broker.Config) { c.Rack = "zone-a" }))
	cl := client(t, b, kgo.Rack("zone-b"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	createTopic(t, cl, "t", 1)
	if err := cl.ProduceSync(testContext(t), numbered("t", 0, 10)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	metadata := raw[*kmsg.MetadataResponse](t, cl, kmsg.NewPtrMetadataRequest())
	cluster := raw[*kmsg.DescribeClusterResponse](t, cl, kmsg.NewPtrDescribeClusterRequest())
	for what, rack := range map[string]*string{"metadata": metadata.Brokers[0].Rack, "cluster": cluster.Brokers[0].Rack} {
		if rack == nil || *rack != "zone-a" {
			t.Errorf("%s: %v", what, rack)
		}
	}
	if got := brokerConfig(t, cl, "broker.rack"); got != "zone-a" {
		t.Errorf("the config is %q", got)
	}
	for n := 0; n < 10; {
		fs := cl.PollFetches(testContext(t))
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		n += fs.NumRecords()
	}
	none := client(t, brokertest.Start(t, brokertest.Memory()))
	if r := raw[*kmsg.MetadataResponse](t, none, kmsg.NewPtrMetadataRequest()).Brokers[0].Rack; r != nil {
		t.Errorf("without one it is %q", *r)
	}
}
