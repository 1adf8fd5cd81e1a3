package broker_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// guarded makes the broker check access control lists.
func guarded() brokertest.Option { return secured(func(s *broker.Security) { s.Authorize = true }) }

// denial is a request, at a version, and the error codes that a client that may do nothing gets, apart from 0.
type denial struct {
	version int16
	request kmsg.Request
	want    []*kerr.Error
}

// denials has a request of every key that asks for something, about topic "t", group "g" and transactional id "tx", which exist.
func denials(topicID [16]byte) []denial {
	topicDenied, groupDenied, clusterDenied, txnDenied := kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed
	tx, name := "tx", "t"
	anyACL := kmsg.DeleteACLsRequestFilter{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}
	produce := produceRequest("t", 0, rawBatch(-1, -1, -1, "x"))
	inTxn := produceRequest("t", 0, rawBatch(-1, -1, -1, "x"))
	inTxn.TransactionID = &tx
	return []denial{
		{12, produce, []*kerr.Error{topicDenied}},
		{12, inTxn, []*kerr.Error{txnDenied}},
		{12, &kmsg.FetchRequest{ReplicaID: -1, ReplicaState: kmsg.NewFetchRequestReplicaState(), Topics: []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{{CurrentLeaderEpoch: -1}}}}}, []*kerr.Error{topicDenied}},
		{13, &kmsg.FetchRequest{ReplicaID: -1, ReplicaState: kmsg.NewFetchRequestReplicaState(), Topics: []kmsg.FetchRequestTopic{{TopicID: topicID, Partitions: []kmsg.FetchRequestTopicPartition{{CurrentLeaderEpoch: -1}}}}}, []*kerr.Error{topicDenied}},
		{7, &kmsg.ListOffsetsRequest{Topics: []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1}}}}}, []*kerr.Error{topicDenied}},
		{12, &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{{Topic: &name}}}, []*kerr.Error{topicDenied}},
		{12, &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{{TopicID: topicID}}}, []*kerr.Error{kerr.UnknownTopicID}},
		{9, &kmsg.OffsetCommitRequest{Group: "g", Generation: -1, Topics: []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{}}}}}, []*kerr.Error{groupDenied}},
		{9, &kmsg.OffsetFetchRequest{Groups: []kmsg.OffsetFetchRequestGroup{{Group: "g"}}}, []*kerr.Error{groupDenied}},
		{1, &kmsg.OffsetFetchRequest{Group: "g", Topics: []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}}, []*kerr.Error{groupDenied}},
		{4, &kmsg.FindCoordinatorRequest{CoordinatorKeys: []string{"g"}}, []*kerr.Error{groupDenied}},
		{3, &kmsg.FindCoordinatorRequest{CoordinatorType: 1, CoordinatorKey: "tx"}, []*kerr.Error{txnDenied}},
		{9, &kmsg.JoinGroupRequest{Group: "g", ProtocolType: "consumer", SessionTimeoutMillis: 10_000}, []*kerr.Error{groupDenied}},
		{4, &kmsg.HeartbeatRequest{Group: "g"}, []*kerr.Error{groupDenied}},
		{5, &kmsg.LeaveGroupRequest{Group: "g"}, []*kerr.Error{groupDenied}},
		{5, &kmsg.SyncGroupRequest{Group: "g"}, []*kerr.Error{groupDenied}},
		{5, &kmsg.DescribeGroupsRequest{Groups: []string{"g"}}, []*kerr.Error{groupDenied}},
		{5, &kmsg.ListGroupsRequest{}, nil},
		{1, &kmsg.ConsumerGroupHeartbeatRequest{Group: "g", MemberID: "m", SubscribedTopicNames: []string{"t"}}, []*kerr.Error{groupDenied}},
		{1, &kmsg.ConsumerGroupDescribeRequest{Groups: []string{"g"}}, []*kerr.Error{groupDenied}},
		{7, &kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{{Topic: "new", NumPartitions: 1, ReplicationFactor: 1}}}, []*kerr.Error{topicDenied}},
		{6, &kmsg.DeleteTopicsRequest{Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}}, []*kerr.Error{topicDenied}},
		{6, &kmsg.DeleteTopicsRequest{Topics: []kmsg.DeleteTopicsRequestTopic{{TopicID: topicID}}}, []*kerr.Error{kerr.UnknownTopicID}},
		{2, &kmsg.DeleteRecordsRequest{Topics: []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: -1}}}}}, []*kerr.Error{topicDenied}},
		{4, &kmsg.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1, TransactionTimeoutMillis: 1000}, []*kerr.Error{clusterDenied}},
		{4, &kmsg.InitProducerIDRequest{TransactionalID: &tx, ProducerID: -1, ProducerEpoch: -1, TransactionTimeoutMillis: 1000}, []*kerr.Error{txnDenied}},
		{4, &kmsg.OffsetForLeaderEpochRequest{ReplicaID: -1, Topics: []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{CurrentLeaderEpoch: -1}}}}}, []*kerr.Error{topicDenied}},
		{3, &kmsg.AddPartitionsToTxnRequest{TransactionalID: "tx", Topics: []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}}, []*kerr.Error{txnDenied}},
		{4, &kmsg.AddOffsetsToTxnRequest{TransactionalID: "tx", Group: "g"}, []*kerr.Error{txnDenied}},
		{4, &kmsg.EndTxnRequest{TransactionalID: "tx"}, []*kerr.Error{txnDenied}},
		{4, &kmsg.TxnOffsetCommitRequest{TransactionalID: "tx", Group: "g", Generation: -1, Topics: []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{}}}}}, []*kerr.Error{txnDenied}},
		{3, &kmsg.DescribeACLsRequest{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}, []*kerr.Error{clusterDenied}},
		{3, &kmsg.CreateACLsRequest{Creations: []kmsg.CreateACLsRequestCreation{{}}}, []*kerr.Error{clusterDenied}},
		{3, &kmsg.DeleteACLsRequest{Filters: []kmsg.DeleteACLsRequestFilter{anyACL}}, []*kerr.Error{clusterDenied}},
		{4, &kmsg.DescribeConfigsRequest{Resources: []kmsg.DescribeConfigsRequestResource{{ResourceType: 2, ResourceName: "t"}, {ResourceType: 4, ResourceName: "1"}}}, []*kerr.Error{topicDenied, clusterDenied}},
		{2, &kmsg.AlterConfigsRequest{Resources: []kmsg.AlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t"}, {ResourceType: 4, ResourceName: "1"}}}, []*kerr.Error{topicDenied, clusterDenied}},
		{1, &kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t"}, {ResourceType: 4, ResourceName: "1"}}}, []*kerr.Error{topicDenied, clusterDenied}},
		{4, &kmsg.DescribeLogDirsRequest{}, []*kerr.Error{clusterDenied}},
		{3, &kmsg.CreatePartitionsRequest{Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 5}}}, []*kerr.Error{topicDenied}},
		{2, &kmsg.DeleteGroupsRequest{Groups: []string{"g"}}, []*kerr.Error{groupDenied}},
		{0, &kmsg.ListPartitionReassignmentsRequest{}, []*kerr.Error{clusterDenied}},
		{0, &kmsg.OffsetDeleteRequest{Group: "g", Topics: []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}}, []*kerr.Error{groupDenied}},
		{0, &kmsg.DescribeUserSCRAMCredentialsRequest{}, []*kerr.Error{clusterDenied}},
		{0, &kmsg.AlterUserSCRAMCredentialsRequest{Deletions: []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "alice", Mechanism: 1}, {Name: "nobody", Mechanism: 1}, {Name: "", Mechanism: 9}}}, []*kerr.Error{clusterDenied}},
		{2, &kmsg.DescribeClusterRequest{EndpointType: 1}, nil},
		{0, &kmsg.DescribeProducersRequest{Topics: []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0}}}}, []*kerr.Error{topicDenied}},
		{0, &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{"tx"}}, []*kerr.Error{txnDenied}},
		{2, &kmsg.ListTransactionsRequest{DurationFilterMillis: -1}, nil},
		{0, &kmsg.DescribeTopicPartitionsRequest{Topics: []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "t"}}, ResponsePartitionLimit: 10}, []*kerr.Error{topicDenied}},
	}
}

// errorCodes collects every error code in a response that is not 0, in order of appearance, each once.
func errorCodes(v reflect.Value, codes []int16) []int16 {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			codes = errorCodes(v.Elem(), codes)
		}
	case reflect.Slice:
		for i := range v.Len() {
			codes = errorCodes(v.Index(i), codes)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if c := v.Field(i); v.Type().Field(i).Name == "ErrorCode" {
				if code := int16(c.Int()); code != 0 && !slices.Contains(codes, code) {
					codes = append(codes, code)
				}
			} else {
				codes = errorCodes(c, codes)
			}
		}
	}
	return codes
}

// TestEveryKeyIsGuarded: a user without any permission is refused at every key, with the code that Kafka has for it, and learns of
// nothing; and nothing of it happens.
func TestEveryKeyIsGuarded(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, guarded())
	admin := as(t, b, "admin", "admin-secret", kgo.TransactionalID("tx"))
	createTopic(t, admin, "t", 1)
	transact(t, admin, kgo.TryCommit, numbered("t", 0, 10)...)
	if err := kadm.NewClient(admin).CommitAllOffsets(testContext(t), "g", kadm.OffsetsFromRecords(kgo.Record{Topic: "t", Offset: 5, LeaderEpoch: -1})); err != nil {
		t.Fatal(err)
	}
	topics, err := kadm.NewClient(admin).ListTopics(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	before := describeAll(t, admin)

	c := dialTCP(t, b)
	ask[*kmsg.SASLHandshakeResponse](t, c, 1, &kmsg.SASLHandshakeRequest{Mechanism: broker.Plain})
	ask[*kmsg.SASLAuthenticateResponse](t, c, 2, &kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00alice\x00alice-secret")})
	asked := map[int16]bool{17: true, 18: true, 36: true}
	for _, d := range denials(topics["t"].ID) {
		asked[d.request.Key()] = true
		resp := ask[kmsg.Response](t, c, d.version, d.request)
		var want []int16
		for _, e := range d.want {
			want = append(want, e.Code)
		}
		if got := errorCodes(reflect.ValueOf(resp), nil); !slices.Equal(got, want) {
			t.Errorf("%s version %d: codes %v, want %v: %+v", kmsg.NameForKey(d.request.Key()), d.version, got, want, resp)
		}
	}
	for _, k := range ask[*kmsg.ApiVersionsResponse](t, c, 0, kmsg.NewPtrApiVersionsRequest()).ApiKeys {
		if !asked[k.ApiKey] {
			t.Errorf("key %d is not asked for", k.ApiKey)
		}
	}
	if resp := ask[*kmsg.MetadataResponse](t, c, 12, &kmsg.MetadataRequest{}); len(resp.Topics) != 0 {
		t.Errorf("topics: %+v", resp.Topics)
	}
	if resp := ask[*kmsg.ListGroupsResponse](t, c, 5, kmsg.NewPtrListGroupsRequest()); len(resp.Groups) != 0 {
		t.Errorf("groups: %+v", resp.Groups)
	}
	if resp := ask[*kmsg.ListTransactionsResponse](t, c, 2, kmsg.NewPtrListTransactionsRequest()); len(resp.TransactionStates) != 0 {
		t.Errorf("transactions: %+v", resp.TransactionStates)
	}
	if resp := ask[*kmsg.DescribeTopicPartitionsResponse](t, c, 0, &kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 10}); len(resp.Topics) != 0 {
		t.Errorf("topic partitions: %+v", resp.Topics)
	}
	if after := describeAll(t, admin); after != before {
		t.Errorf("something happened:\n%s\nwas\n%s", after, before)
	}
}

// TestCreationIsGuarded: to make a topic by asking for it takes what making it takes, and who makes one does not learn its configs by that.
func TestCreationIsGuarded(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, guarded(), brokertest.AutoCreate(1))
	adm := kadm.NewClient(as(t, b, "admin", "admin-secret"))
	grant(t, adm, kadm.NewACLs().Topics("asked-for", "made").Operations(kadm.OpDescribe).Allow("User:alice").AllowHosts())
	alice := as(t, b, "alice", "alice-secret")
	askFor := func() int16 {
		t.Helper()
		req := &kmsg.MetadataRequest{AllowAutoTopicCreation: true, Topics: []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("asked-for")}}}
		return raw[*kmsg.MetadataResponse](t, alice, req).Topics[0].ErrorCode
	}
	if code := askFor(); code != kerr.TopicAuthorizationFailed.Code {
		t.Errorf("asked for: code %d", code)
	}
	if topics, err := adm.ListTopics(testContext(t)); err != nil || len(topics) != 0 {
		t.Errorf("topics %v, %v", topics.Names(), err)
	}
	grant(t, adm, kadm.NewACLs().Topics("asked-for", "made").Operations(kadm.OpCreate).Allow("User:alice").AllowHosts())
	if code := askFor(); code != 0 {
		t.Errorf("asked for, with leave: code %d", code)
	}
	create := &kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{{Topic: "made", NumPartitions: 1, ReplicationFactor: 1}}}
	made := raw[*kmsg.CreateTopicsResponse](t, alice, create).Topics[0]
	if made.ErrorCode != 0 || made.ConfigErrorCode != kerr.TopicAuthorizationFailed.Code || len(made.Configs) != 0 || made.NumPartitions != -1 {
		t.Errorf("made: %+v", made)
	}
}

// TestTopicsAreGuardedByThemselves: who may use a group and a transactional id, and nothing else, is refused where they are about a topic.
func TestTopicsAreGuardedByThemselves(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, guarded())
	admin := as(t, b, "admin", "admin-secret")
	adm := kadm.NewClient(admin)
	createTopic(t, admin, "t", 1)
	if err := adm.CommitAllOffsets(testContext(t), "g", kadm.OffsetsFromRecords(kgo.Record{Topic: "t", Offset: 5, LeaderEpoch: -1})); err != nil {
		t.Fatal(err)
	}
	grant(t, adm, kadm.NewACLs().Groups("g").Operations(kadm.OpRead, kadm.OpDelete).Allow("User:alice").AllowHosts())
	grant(t, adm, kadm.NewACLs().TransactionalIDs("tx").Operations(kadm.OpWrite).Allow("User:alice").AllowHosts())
	c := dialTCP(t, b)
	ask[*kmsg.SASLHandshakeResponse](t, c, 1, &kmsg.SASLHandshakeRequest{Mechanism: broker.Plain})
	ask[*kmsg.SASLAuthenticateResponse](t, c, 2, &kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00alice\x00alice-secret")})
	tx := "tx"
	p := ask[*kmsg.InitProducerIDResponse](t, c, 4, &kmsg.InitProducerIDRequest{TransactionalID: &tx, ProducerID: -1, ProducerEpoch: -1, TransactionTimeoutMillis: 60_000})
	if p.ErrorCode != 0 {
		t.Fatalf("%+v", p)
	}
	produce := produceRequest("t", 0, setAttribute(rawBatch(p.ProducerID, p.ProducerEpoch, 0, "x"), 0x10))
	produce.TransactionID = &tx
	offset := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	offset.Offset = 7
	for _, d := range []struct {
		version int16
		request kmsg.Request
	}{
		{12, produce},
		{3, &kmsg.AddPartitionsToTxnRequest{TransactionalID: tx, ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch, Topics: []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}}},
		{5, &kmsg.TxnOffsetCommitRequest{TransactionalID: tx, ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch, Group: "g", Generation: -1, Topics: []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{offset}}}}},
		{9, &kmsg.OffsetCommitRequest{Group: "g", Generation: -1, Topics: []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 7}}}}}},
		{9, &kmsg.OffsetFetchRequest{Groups: []kmsg.OffsetFetchRequestGroup{{Group: "g", MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}}}}},
		{0, &kmsg.OffsetDeleteRequest{Group: "g", Topics: []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}}},
		{1, &kmsg.ConsumerGroupHeartbeatRequest{Group: "g", MemberID: "m", SubscribedTopicNames: []string{"t"}, Topics: []kmsg.ConsumerGroupHeartbeatRequestTopic{}}},
	} {
		resp := ask[kmsg.Response](t, c, d.version, d.request)
		if got := errorCodes(reflect.ValueOf(resp), nil); !slices.Equal(got, []int16{kerr.TopicAuthorizationFailed.Code}) {
			t.Errorf("%s: codes %v: %+v", kmsg.NameForKey(d.request.Key()), got, resp)
		}
	}
	all := &kmsg.OffsetFetchRequest{Groups: []kmsg.OffsetFetchRequestGroup{{Group: "g", MemberEpoch: -1}}}
	if r := ask[*kmsg.OffsetFetchResponse](t, c, 9, all); len(r.Groups) != 1 || r.Groups[0].ErrorCode != 0 || len(r.Groups[0].Topics) != 0 {
		t.Errorf("all offsets: %+v", r)
	}
	if r := ask[*kmsg.EndTxnResponse](t, c, 4, &kmsg.EndTxnRequest{TransactionalID: tx, ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch, Commit: true}); r.ErrorCode != 0 && r.ErrorCode != kerr.InvalidTxnState.Code {
		t.Errorf("%+v", r)
	}
	o, err := adm.FetchOffsets(testContext(t), "g")
	ends, err2 := adm.ListEndOffsets(testContext(t), "t")
	if err := errors.Join(err, err2); err != nil || o["t"][0].At != 6 || ends["t"][0].Offset != 0 {
		t.Errorf("something happened: offsets %v, ends %v, %v", o, ends, err)
	}
}

// describeAll says in text what is there.
func describeAll(t testing.TB, cl *kgo.Client) string {
	t.Helper()
	adm, ctx := kadm.NewClient(cl), testContext(t)
	topics, err1 := adm.ListTopics(ctx)
	ends, err2 := adm.ListEndOffsets(ctx)
	offsets, err3 := adm.FetchOffsets(ctx, "g")
	users, err4 := adm.DescribeUserSCRAMs(ctx)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(topics.Names(), ends.KOffsets(), offsets.KOffsets(), users)
}

// TestAccessControl: what is granted works and nothing else, denials count more, prefixes and wildcards match, and all of it outlives a
// restart.
func TestAccessControl(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, guarded())
	admin := kadm.NewClient(as(t, b, "admin", "admin-secret"))
	for _, topic := range []string{"orders-1", "orders-2", "other"} {
		if _, err := admin.CreateTopic(testContext(t), 1, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	prefix := kadm.NewACLs().Topics("orders-").Operations(kadm.OpWrite, kadm.OpRead).Allow("User:alice").AllowHosts().ResourcePatternType(kadm.ACLPatternPrefixed)
	if _, err := admin.CreateACLs(testContext(t), prefix); err != nil {
		t.Fatal(err)
	}
	grant(t, admin, kadm.NewACLs().Groups("g").Operations(kadm.OpRead).Allow("User:alice").AllowHosts("127.0.0.1"))
	produce := func(topic string) error {
		cl := as(t, b, "alice", "alice-secret", kgo.RequestRetries(0))
		return cl.ProduceSync(testContext(t), numbered(topic, 0, 5)...).FirstErr()
	}
	check := func(what string) {
		t.Helper()
		for topic, ok := range map[string]bool{"orders-1": true, "orders-2": true, "other": false} {
			if err := produce(topic); (err == nil) != ok || err != nil && !errors.Is(err, kerr.TopicAuthorizationFailed) {
				t.Errorf("%s: produce to %s: %v", what, topic, err)
			}
		}
	}
	check("granted")
	consume(t, as(t, b, "alice", "alice-secret", kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders-1"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 5)
	b = b.Restart(t)
	check("after a restart")
	admin = kadm.NewClient(as(t, b, "admin", "admin-secret"))
	denyTwo := kadm.NewACLs().Topics("orders-2").Operations(kadm.OpAll).Deny("User:alice").DenyHosts().ResourcePatternType(kadm.ACLPatternLiteral)
	if results, err := admin.CreateACLs(testContext(t), denyTwo); err != nil || len(results) != 1 || results[0].Err != nil {
		t.Fatal(results, err)
	}
	if err := produce("orders-2"); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("denied: %v", err)
	}
	if results, err := admin.DeleteACLs(testContext(t), denyTwo); err != nil || len(results) != 1 || len(results[0].Deleted) != 1 {
		t.Fatal(results, err)
	}
	check("the denial is gone")
	described, err := admin.DescribeACLs(testContext(t), kadm.NewACLs().AnyResource("orders-7").Allow().AllowHosts().Operations(kadm.OpAny).ResourcePatternType(kadm.ACLPatternMatch))
	if err != nil || len(described) != 1 || len(described[0].Described) != 2 || described[0].Described[0].Name != "orders-" {
		t.Errorf("described: %+v, %v", described, err)
	}
}

// TestAuthorizedOperations: the bits say what the client may do (KIP-430), and everything where access is not controlled.
func TestAuthorizedOperations(t *testing.T) {
	t.Parallel()
	operations := func(b *brokertest.Broker, cl *kgo.Client) (topic, cluster int32) {
		req := kmsg.NewPtrMetadataRequest()
		req.IncludeTopicAuthorizedOperations = true
		resp := raw[*kmsg.MetadataResponse](t, cl, req)
		c := raw[*kmsg.DescribeClusterResponse](t, cl, &kmsg.DescribeClusterRequest{IncludeClusterAuthorizedOperations: true, EndpointType: 1})
		if len(resp.Topics) != 1 {
			t.Fatalf("%+v", resp)
		}
		return resp.Topics[0].AuthorizedOperations, c.ClusterAuthorizedOperations
	}
	bits := func(ops ...kmsg.ACLOperation) (n int32) {
		for _, op := range ops {
			n |= 1 << op
		}
		return n
	}
	const read, write, create, del, alter, describe, action, describeConfigs, alterConfigs, idempotent = kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationCreate,
		kmsg.ACLOperationDelete, kmsg.ACLOperationAlter, kmsg.ACLOperationDescribe, kmsg.ACLOperationClusterAction, kmsg.ACLOperationDescribeConfigs, kmsg.ACLOperationAlterConfigs, kmsg.ACLOperationIdempotentWrite
	everythingTopic := bits(read, write, create, del, alter, describe, describeConfigs, alterConfigs)
	everythingCluster := bits(create, alter, describe, action, describeConfigs, alterConfigs, idempotent)

	open := brokertest.Start(t, brokertest.Listen())
	createTopic(t, client(t, open), "t", 1)
	if topic, cluster := operations(open, tcpClient(t, open)); topic != everythingTopic || cluster != everythingCluster {
		t.Errorf("open: %b, %b", topic, cluster)
	}
	b := brokertest.Start(t, guarded())
	admin := as(t, b, "admin", "admin-secret")
	createTopic(t, admin, "t", 1)
	if topic, cluster := operations(b, admin); topic != everythingTopic || cluster != everythingCluster {
		t.Errorf("admin: %b, %b", topic, cluster)
	}
	grant(t, kadm.NewClient(admin), kadm.NewACLs().Topics("t").Operations(kadm.OpRead, kadm.OpAlterConfigs).Allow("User:alice").AllowHosts())
	if topic, cluster := operations(b, as(t, b, "alice", "alice-secret")); topic != bits(read, describe, describeConfigs, alterConfigs) || cluster != 0 {
		t.Errorf("alice: %b, %b", topic, cluster)
	}
}

// TestAllowIfNoACL: everybody may do everything with a topic that no entry is about, and who is not allowed nothing with the others.
func TestAllowIfNoACL(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, secured(func(s *broker.Security) { s.Authorize, s.AllowIfNoACL = true, true }))
	createTopic(t, as(t, b, "alice", "alice-secret"), "t", 1)
	grant(t, kadm.NewClient(as(t, b, "admin", "admin-secret")), kadm.NewACLs().Topics("t").Operations(kadm.OpRead).Allow("User:bob").AllowHosts())
	err := as(t, b, "alice", "alice-secret", kgo.RequestRetries(0)).ProduceSync(testContext(t), numbered("t", 0, 1)...).FirstErr()
	if !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("a topic that bob may read: %v", err)
	}
	grant(t, kadm.NewClient(as(t, b, "admin", "admin-secret")), kadm.NewACLs().Clusters().Operations(kadm.OpAlter).Allow("User:bob").AllowHosts())
	init := &kmsg.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1, TransactionTimeoutMillis: 1000}
	if resp := raw[*kmsg.InitProducerIDResponse](t, as(t, b, "alice", "alice-secret"), init); resp.ErrorCode != 0 {
		t.Errorf("a producer for topics without entries: code %d", resp.ErrorCode)
	}
}
