package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// differences are the known ones.
var differences = []difference{
	{0, ".Topics[RUN-a].Partitions[1].LogAppendTime", "to a duplicate Kafka answers with its records' time, which clients take for what it is not"},
	{1, ".Topics[RUN-a].Partitions[2].AbortedTransactions*", "Kafka goes by its sparse index, and lists some that lie behind what it returns"},
	{65, ".TransactionStates[RUN-tx].Topics*", "offsets are in no topic"},
	{19, ".Topics[RUN-new].TopicID", "Kafka makes up an id when it is only to validate"},
	{19, ".Topics[*].Configs#", "see the configs that follow"},
	{19, ".Topics[*].Configs[compression.*.level]", "batches are kept as they were sent"},
	{19, ".Topics[*].Configs[remote.*]", "there is no tiered storage"},
	{19, ".Topics[*].Configs[local.retention.*]", "there is no tiered storage"},
	{19, ".Topics[*].Configs[*.replication.throttled.replicas]", "there are no replicas"},
	{19, ".Topics[*].Configs[errors.deadletterqueue.group.enable]", "there are no share groups"},
	{19, ".Topics[*].Configs[max.decompressed.message.bytes]", "the bound is the broker's"},
	{19, ".Topics[*].Configs[segment.bytes].Value", "smaller by default: one machine has less to keep"},
	{19, ".Topics[*].Configs[message.timestamp.after.max.ms].Value", "event times may lie in the future"},
	{19, ".Topics[*].Configs[min.insync.replicas].Source", "Kafka's comes from its feature of eligible leader replicas"},
	{32, ".Resources[*].Configs#", "see the configs of CreateTopics, here and below"},
	{32, ".Resources[*].Configs[compression.*.level]", "batches are kept as they were sent"},
	{32, ".Resources[*].Configs[remote.*]", "there is no tiered storage"},
	{32, ".Resources[*].Configs[local.retention.*]", "there is no tiered storage"},
	{32, ".Resources[*].Configs[*.replication.throttled.replicas]", "there are no replicas"},
	{32, ".Resources[*].Configs[errors.deadletterqueue.group.enable]", "there are no share groups"},
	{32, ".Resources[*].Configs[max.decompressed.message.bytes]", "the bound is the broker's"},
	{32, ".Resources[*].Configs[segment.bytes].*Value", "smaller by default: one machine has less to keep"},
	{32, ".Resources[*].Configs[message.timestamp.after.max.ms].*Value", "event times may lie in the future"},
	{9, ".Groups[RUN-consumers].ErrorCode", "without a member id, but with an epoch, Kafka fails"},
	{15, ".Groups[RUN-migrating].Members[0].MemberAssignment", "who is told to join again has until then what it had, not what Kafka would have given it"},
	{32, ".Resources[*].Configs[min.insync.replicas].*", "Kafka's comes from its feature of eligible leader replicas"},
}

// TestDifferential asks a real Kafka and this broker the same questions. MILLRACE_KAFKA names it.
func TestDifferential(t *testing.T) {
	c := newComparison(t)
	run := fmt.Sprintf("diff-%d", time.Now().UnixNano())
	c.run = run
	compareTopics(c, run)
	consumers := newComparedGroup(c, run)
	compareProduce(c, run)
	compareFetch(c, run)
	compareTransactions(c, run)
	compareGroups(c, run)
	compareRebalances(c, run)
	consumers.compare(run)
	consumers.compareMigrations(run)
	compareConfigs(c, run)
	compareDeletions(c, run)
	c.finish()
}

func pointerTo[T any](v T) *T { return &v }

// compareTopics creates topics, rightly and wrongly, and describes them.
func compareTopics(c *comparison, run string) {
	c.t.Helper()
	create := func(version int16, topic string, partitions int32, replication int16, validate bool, configs ...string) *kmsg.CreateTopicsRequest {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, partitions, replication
		for i := 0; i+1 < len(configs); i += 2 {
			rt.Configs = append(rt.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: configs[i], Value: &configs[i+1]})
		}
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis, req.ValidateOnly = version, 10_000, validate
		req.Topics = append(req.Topics, rt)
		return req
	}
	type response = *kmsg.CreateTopicsResponse
	same[response](c, "create", 7, create(7, run+"-a", 3, 1, false, "retention.ms", "-1")) // what is produced says that it is of 1970
	same[response](c, "create with configs", 5, create(5, run+"-compact", 1, -1, false, "cleanup.policy", "compact", "min.compaction.lag.ms", "5"))
	same[response](c, "create, old", 2, create(2, run+"-b", 1, 1, false))
	same[response](c, "validate defaults, old", 3, create(3, run+"-new", -1, -1, true))
	for _, topic := range []string{run + "-a", run + "-compact", run + "-b"} {
		awaitTopic(c, topic)
	}
	same[response](c, "create what exists", 7, create(7, run+"-a", 3, 1, false))
	same[response](c, "validate what exists", 7, create(7, run+"-a", 3, 1, true))
	same[response](c, "validate", 7, create(7, run+"-new", 2, 1, true))
	same[response](c, "no partitions", 7, create(7, run+"-new", 0, 1, false))
	same[response](c, "no replicas", 7, create(7, run+"-new", 1, 0, false))
	for _, name := range []string{"", ".", "..", "white space", run + "-" + string(make([]byte, 250))} {
		same[response](c, fmt.Sprintf("name %.20q", name), 7, create(7, name, 1, 1, false))
	}
	same[response](c, "unknown config", 7, create(7, run+"-new", 1, 1, false, "no.such.config", "1"))
	same[response](c, "bad config", 7, create(7, run+"-new", 1, 1, false, "retention.ms", "soon"))
	twice := create(7, run+"-twice", 1, 1, false)
	twice.Topics = append(twice.Topics, twice.Topics[0])
	same[response](c, "twice", 7, twice)

	for version := range int16(14) {
		req := kmsg.NewPtrMetadataRequest()
		for _, topic := range []string{run + "-a", run + "-compact"} {
			rt := kmsg.NewMetadataRequestTopic()
			rt.Topic = &topic
			req.Topics = append(req.Topics, rt)
		}
		req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = version >= 8, version >= 8
		same[*kmsg.MetadataResponse](c, "metadata", version, req)
	}
	for _, version := range []int16{4, 9, 12, 13} {
		for _, topic := range []string{run + "-missing", "white space"} {
			req := kmsg.NewPtrMetadataRequest()
			rt := kmsg.NewMetadataRequestTopic()
			rt.Topic = &topic
			req.Topics = append(req.Topics, rt)
			same[*kmsg.MetadataResponse](c, "metadata of "+topic, version, req)
		}
	}
	unknownID := kmsg.NewPtrMetadataRequest()
	unknownID.Topics = append(unknownID.Topics, kmsg.MetadataRequestTopic{TopicID: [16]byte{1, 2, 3}})
	same[*kmsg.MetadataResponse](c, "metadata of an unknown id", 12, unknownID)

	grow := func(topic string, count int32) *kmsg.CreatePartitionsRequest {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis = 10_000
		req.Topics = append(req.Topics, kmsg.CreatePartitionsRequestTopic{Topic: topic, Count: count})
		return req
	}
	for _, count := range []int32{0, 1, 2, 2} {
		same[*kmsg.CreatePartitionsResponse](c, fmt.Sprint("grow to ", count), 3, grow(run+"-b", count))
	}
	same[*kmsg.CreatePartitionsResponse](c, "grow what is not there", 3, grow(run+"-missing", 2))
	same[*kmsg.DescribeClusterResponse](c, "cluster", 1, &kmsg.DescribeClusterRequest{EndpointType: 1})
	same[*kmsg.DescribeClusterResponse](c, "controllers", 1, &kmsg.DescribeClusterRequest{EndpointType: 2})
	same[*kmsg.DescribeTopicPartitionsResponse](c, "partitions", 0, &kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 100,
		Topics: []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: run + "-a"}, {Topic: run + "-missing"}}})
	same[*kmsg.ListPartitionReassignmentsResponse](c, "reassignments", 0, &kmsg.ListPartitionReassignmentsRequest{TimeoutMillis: 1000})
}

// awaitTopic waits until both have a leader for every partition.
func awaitTopic(c *comparison, topic string) {
	c.t.Helper()
	for _, conn := range c.conns {
		eventually(c.t, topic+" has leaders", func() bool {
			req := kmsg.NewPtrMetadataRequest()
			req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &topic})
			resp := ask[*kmsg.MetadataResponse](c.t, conn, 7, req)
			for _, p := range resp.Topics[0].Partitions {
				if p.ErrorCode != 0 {
					return false
				}
			}
			return resp.Topics[0].ErrorCode == 0
		})
	}
}

// compareProduce appends batches that are right and wrong.
func compareProduce(c *comparison, run string) {
	c.t.Helper()
	type response = *kmsg.ProduceResponse
	topic := run + "-a"
	for _, version := range []int16{3, 7, 8, 9, 11, 12} {
		same[response](c, "produce", version, produceRequest(topic, 0, rawBatch(-1, -1, -1, "a", "b")))
		same[response](c, "unknown partition", version, produceRequest(topic, 9, rawBatch(-1, -1, -1, "a")))
	}
	same[response](c, "unknown topic", 12, produceRequest(run+"-missing", 0, rawBatch(-1, -1, -1, "a")))
	corrupt := rawBatch(-1, -1, -1, "a")
	corrupt[len(corrupt)-1] ^= 1
	same[response](c, "checksum", 12, produceRequest(topic, 0, corrupt))
	same[response](c, "no key for a compacted topic", 12, produceRequest(run+"-compact", 0, rawBatch(-1, -1, -1, "a")))
	invalid := produceRequest(topic, 0, rawBatch(-1, -1, -1, "a"))
	invalid.Acks = 2
	same[response](c, "acks 2", 12, invalid)

	init := same[*kmsg.InitProducerIDResponse](c, "producer id", 4, &kmsg.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1, TransactionTimeoutMillis: 60_000})
	idempotent := func(what string, epoch int16, sequence int32, values ...string) {
		c.t.Helper()
		both[response](c, what, 12, func(side int) kmsg.Request {
			return produceRequest(topic, 1, rawBatch(init[side].ProducerID, epoch, sequence, values...))
		})
	}
	idempotent("first sequence", 0, 0, "a", "b")
	idempotent("next sequence", 0, 2, "c")
	idempotent("duplicate", 0, 2, "c")
	idempotent("older duplicate", 0, 0, "a", "b")
	idempotent("gap", 0, 9, "d")
	idempotent("overlap", 0, 1, "b", "c")
	idempotent("new epoch, wrong sequence", 1, 5, "e")
	idempotent("new epoch", 1, 0, "e")
	idempotent("old epoch", 0, 3, "f")
}

// compareFetch reads what was produced, and looks for offsets.
func compareFetch(c *comparison, run string) {
	c.t.Helper()
	topic := run + "-a"
	fetch := func(partition int32, offset int64, change func(*kmsg.FetchRequest)) *kmsg.FetchRequest {
		req := kmsg.NewPtrFetchRequest()
		req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, 100, 1, 1<<20, -1
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = partition, offset, 1<<20
		req.Topics = append(req.Topics, kmsg.FetchRequestTopic{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{rp}})
		if change != nil {
			change(req)
		}
		return req
	}
	type response = *kmsg.FetchResponse
	for version := int16(4); version <= 12; version++ {
		same[response](c, "fetch", version, fetch(0, 0, nil))
	}
	same[response](c, "within a batch", 12, fetch(0, 1, nil))
	same[response](c, "at the end", 12, fetch(0, 12, nil))
	same[response](c, "beyond the end", 12, fetch(0, 99, nil))
	same[response](c, "negative", 12, fetch(0, -3, nil))
	same[response](c, "unknown partition", 12, fetch(9, 0, nil))
	same[response](c, "unknown topic", 12, fetch(0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].Topic = run + "-missing" }))
	same[response](c, "unknown id", 13, fetch(0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].TopicID = [16]byte{1, 2, 3} }))
	same[response](c, "epoch of the future", 12, fetch(0, 0, func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 99 }))
	same[response](c, "one byte", 12, fetch(0, 0, func(r *kmsg.FetchRequest) { r.MaxBytes, r.Topics[0].Partitions[0].PartitionMaxBytes = 1, 1 }))
	same[response](c, "read committed", 12, fetch(0, 0, func(r *kmsg.FetchRequest) { r.IsolationLevel = 1 }))
	same[response](c, "unknown session", 12, fetch(0, 0, func(r *kmsg.FetchRequest) { r.SessionID, r.SessionEpoch = 77, 3 }))

	first := same[response](c, "a session", 12, fetch(0, 0, func(r *kmsg.FetchRequest) { r.SessionEpoch = 0 }))
	session := func(what string, epoch int32, offset int64, change func(*kmsg.FetchRequest)) {
		c.t.Helper()
		both[response](c, what, 12, func(side int) kmsg.Request {
			req := fetch(0, offset, change)
			req.SessionID, req.SessionEpoch = first[side].SessionID, epoch
			return req
		})
	}
	session("the end, in the session", 1, 12, nil)
	session("nothing new", 2, 12, func(r *kmsg.FetchRequest) { r.Topics = nil })
	same[*kmsg.ProduceResponse](c, "produce", 12, produceRequest(topic, 0, rawBatch(-1, -1, -1, "new")))
	session("news", 3, 12, func(r *kmsg.FetchRequest) { r.Topics = nil })
	session("wrong epoch", 9, 12, func(r *kmsg.FetchRequest) { r.Topics = nil })
	session("an error", 4, 99, nil)
	session("the error again", 5, 99, func(r *kmsg.FetchRequest) { r.Topics = nil })
	session("forgotten", 6, 99, func(r *kmsg.FetchRequest) {
		r.Topics, r.ForgottenTopics = nil, []kmsg.FetchRequestForgottenTopic{{Topic: topic, Partitions: []int32{0}}}
	})

	for _, version := range []int16{1, 4, 7, 8} {
		for _, timestamp := range []int64{-1, -2, 0, 1 << 60} {
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID = -1
			rt := kmsg.ListOffsetsRequestTopic{Topic: topic}
			for _, partition := range []int32{0, 2, 9} {
				rp := kmsg.NewListOffsetsRequestTopicPartition()
				rp.Partition, rp.Timestamp = partition, timestamp
				rt.Partitions = append(rt.Partitions, rp)
			}
			req.Topics = append(req.Topics, rt)
			same[*kmsg.ListOffsetsResponse](c, fmt.Sprint("offsets at ", timestamp), version, req)
		}
	}
	for _, epoch := range []int32{-1, 0, 5} {
		rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		rp.LeaderEpoch = epoch
		same[*kmsg.OffsetForLeaderEpochResponse](c, fmt.Sprint("end of epoch ", epoch), 3, &kmsg.OffsetForLeaderEpochRequest{ReplicaID: -1,
			Topics: []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{rp}}}})
	}
}

// compareTransactions commits, aborts, and does at the wrong time what can be.
func compareTransactions(c *comparison, run string) {
	c.t.Helper()
	id, topic := run+"-tx", run+"-a"
	start := func(what string, version int16, timeout int32) [2]*kmsg.InitProducerIDResponse {
		c.t.Helper()
		return same[*kmsg.InitProducerIDResponse](c, what, version, &kmsg.InitProducerIDRequest{TransactionalID: &id, ProducerID: -1, ProducerEpoch: -1, TransactionTimeoutMillis: timeout})
	}
	same[*kmsg.FindCoordinatorResponse](c, "coordinator", 3, &kmsg.FindCoordinatorRequest{CoordinatorType: 1, CoordinatorKey: id})
	start("no time-out", 4, 0)
	start("long time-out", 4, 1<<30)
	p := start("begin", 4, 60_000)
	end := func(what string, version int16, epoch int16, commit bool) {
		c.t.Helper()
		both[*kmsg.EndTxnResponse](c, what, version, func(side int) kmsg.Request {
			return &kmsg.EndTxnRequest{TransactionalID: id, ProducerID: p[side].ProducerID, ProducerEpoch: epoch, Commit: commit}
		})
	}
	produce := func(what string, version, epoch int16, sequence int32) {
		c.t.Helper()
		both[*kmsg.ProduceResponse](c, what, version, func(side int) kmsg.Request {
			req := produceRequest(topic, 2, setAttribute(rawBatch(p[side].ProducerID, epoch, sequence, "x"), 0x10))
			req.TransactionID = &id
			return req
		})
	}
	add := func(what string, version, epoch int16, topic string) {
		c.t.Helper()
		both[*kmsg.AddPartitionsToTxnResponse](c, what, version, func(side int) kmsg.Request {
			return &kmsg.AddPartitionsToTxnRequest{TransactionalID: id, ProducerID: p[side].ProducerID, ProducerEpoch: epoch,
				Topics: []kmsg.AddPartitionsToTxnRequestTopic{{Topic: topic, Partitions: []int32{2}}}}
		})
	}
	end("commit of nothing", 4, 0, true)
	produce("without adding", 11, 0, 0)
	produce("without adding, old", 9, 0, 0)
	add("add what is not there", 3, 0, run+"-missing")
	add("add", 3, 0, topic)
	produce("in the transaction", 11, 0, 0)
	end("commit", 4, 0, true)
	end("commit again", 4, 0, true)
	end("abort what was committed", 4, 0, false)
	add("add to the next", 3, 0, topic)
	produce("in the next", 11, 0, 1)
	end("abort", 4, 0, false)
	add("an epoch of the past", 3, -1, topic)
	end("an epoch of the future", 4, 9, true)
	unknown := run + "-unknown"
	same[*kmsg.EndTxnResponse](c, "unknown id", 4, &kmsg.EndTxnRequest{TransactionalID: unknown, ProducerID: 99, Commit: true})
	p = start("begin again", 4, 60_000)
	produce("implicitly added", 12, 1, 0)
	offsets := func(what string, version int16, epoch int16, generation int32, member string) {
		c.t.Helper()
		both[*kmsg.TxnOffsetCommitResponse](c, what, version, func(side int) kmsg.Request {
			req := kmsg.NewPtrTxnOffsetCommitRequest()
			req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = id, run+"-txgroup", p[side].ProducerID, epoch
			req.Generation, req.MemberID = generation, member
			rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			rp.Offset, rp.Metadata = 7, pointerTo("m")
			req.Topics = append(req.Topics, kmsg.TxnOffsetCommitRequestTopic{Topic: topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{rp}})
			return req
		})
	}
	same[*kmsg.FindCoordinatorResponse](c, "coordinator", 3, &kmsg.FindCoordinatorRequest{CoordinatorKey: run + "-txgroup"})
	offsets("offsets", 5, 1, -1, "")
	offsets("offsets of an unknown member", 5, 1, -1, "nobody")
	committed := func(stable bool) *kmsg.OffsetFetchRequest {
		return &kmsg.OffsetFetchRequest{Group: run + "-txgroup", RequireStable: stable,
			Topics: []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: []int32{0}}}}
	}
	fetch := func(what string, stable bool) {
		c.t.Helper()
		same[*kmsg.OffsetFetchResponse](c, what, 7, committed(stable))
	}
	fetch("staged", false)
	fetch("staged, stable", true)
	same[*kmsg.DescribeTransactionsResponse](c, "open", 0, &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{id, unknown}})
	end("commit with a bump", 5, 1, true)
	eventually(c.t, "the group's marker is written", func() bool { // Kafka answers before it is
		resp := ask[*kmsg.OffsetFetchResponse](c.t, c.conns[kafkas], 7, committed(true))
		return resp.Topics[0].Partitions[0].ErrorCode != kerr.UnstableOffsetCommit.Code
	})
	fetch("committed", true)
	end("retried", 5, 1, true)
	end("the other way", 5, 1, false)
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel, req.SessionEpoch = -1, 100, 1, 1<<20, 1, -1
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.PartitionMaxBytes = 2, 1<<20
	req.Topics = append(req.Topics, kmsg.FetchRequestTopic{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{rp}})
	type fetched = *kmsg.FetchResponse
	eventually(c.t, "markers are written", func() bool { // Kafka answers before they are
		resp := ask[fetched](c.t, c.conns[kafkas], 12, req)
		return resp.Topics[0].Partitions[0].LastStableOffset == 6
	})
	for offset := range int64(7) { // how much comes at once is anybody's choice, but for one batch
		req.Topics[0].Partitions[0].FetchOffset, req.Topics[0].Partitions[0].PartitionMaxBytes = offset, 1
		same[fetched](c, fmt.Sprint("committed data at ", offset), 12, req)
	}
}

// compareGroups joins, syncs, commits and leaves.
func compareGroups(c *comparison, run string) {
	c.t.Helper()
	group, topic := run+"-group", run+"-a"
	for _, version := range []int16{0, 2, 3, 6} {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorKeys = group, []string{group}
		same[*kmsg.FindCoordinatorResponse](c, "coordinator", version, req)
	}
	join := func(version int16, member [2]string, change func(*kmsg.JoinGroupRequest)) func(int) kmsg.Request {
		return func(side int) kmsg.Request {
			req := kmsg.NewPtrJoinGroupRequest()
			req.Group, req.MemberID, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = group, member[side], "consumer", 30_000, 30_000
			req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: "range", Metadata: subscriptionOf(topic)})
			if change != nil {
				change(req)
			}
			return req
		}
	}
	type joined = *kmsg.JoinGroupResponse
	both[joined](c, "no group", 5, join(5, [2]string{}, func(r *kmsg.JoinGroupRequest) { r.Group = "" }))
	both[joined](c, "session too long", 5, join(5, [2]string{}, func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 }))
	both[joined](c, "no protocols", 5, join(5, [2]string{}, func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }))
	both[joined](c, "unknown member", 5, join(5, [2]string{"nobody", "nobody"}, nil))
	ids := both[joined](c, "member id", 9, join(9, [2]string{}, nil))
	member := [2]string{ids[kafkas].MemberID, ids[ours].MemberID}
	both[joined](c, "join", 9, join(9, member, nil))
	heartbeat := func(what string, generation int32, member [2]string) {
		c.t.Helper()
		both[*kmsg.HeartbeatResponse](c, what, 4, func(side int) kmsg.Request {
			return &kmsg.HeartbeatRequest{Group: group, Generation: generation, MemberID: member[side]}
		})
	}
	commit := func(what string, version int16, generation int32, member [2]string, metadata string) {
		c.t.Helper()
		both[*kmsg.OffsetCommitResponse](c, what, version, func(side int) kmsg.Request {
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Group, req.Generation, req.MemberID = group, generation, member[side]
			rt := kmsg.OffsetCommitRequestTopic{Topic: topic}
			for _, partition := range []int32{0, 9} {
				rp := kmsg.NewOffsetCommitRequestTopicPartition()
				rp.Partition, rp.Offset, rp.Metadata = partition, 5, &metadata
				rt.Partitions = append(rt.Partitions, rp)
			}
			req.Topics = append(req.Topics, rt)
			return req
		})
	}
	heartbeat("before sync", 1, member)
	commit("commit before sync", 8, 1, member, "m")
	both[*kmsg.SyncGroupResponse](c, "sync, wrong protocol", 5, func(side int) kmsg.Request {
		return &kmsg.SyncGroupRequest{Group: group, Generation: 1, MemberID: member[side], ProtocolType: pointerTo("consumer"), Protocol: pointerTo("sticky")}
	})
	both[*kmsg.SyncGroupResponse](c, "sync", 5, func(side int) kmsg.Request {
		return &kmsg.SyncGroupRequest{Group: group, Generation: 1, MemberID: member[side], ProtocolType: pointerTo("consumer"), Protocol: pointerTo("range"),
			GroupAssignment: []kmsg.SyncGroupRequestGroupAssignment{{MemberID: member[side], MemberAssignment: []byte("mine")}}}
	})
	heartbeat("stable", 1, member)
	heartbeat("another generation", 5, member)
	heartbeat("unknown member", 1, [2]string{"nobody", "nobody"})
	for _, version := range []int16{2, 5, 8} {
		commit("commit", version, 1, member, "m")
		commit("another generation", version, 7, member, "m")
		commit("from outside", version, -1, [2]string{}, "m")
		commit("long metadata", version, 1, member, string(make([]byte, 5000)))
	}
	for _, version := range []int16{1, 2, 5, 7} {
		same[*kmsg.OffsetFetchResponse](c, "offsets", version, &kmsg.OffsetFetchRequest{Group: group,
			Topics: []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: []int32{0, 1, 9}}, {Topic: run + "-missing", Partitions: []int32{0}}}})
	}
	same[*kmsg.OffsetFetchResponse](c, "all offsets", 8, &kmsg.OffsetFetchRequest{Groups: []kmsg.OffsetFetchRequestGroup{{Group: group}, {Group: run + "-nogroup"}}})
	for _, version := range []int16{0, 4, 5, 6} {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{group, run + "-nogroup"}
		req.IncludeAuthorizedOperations = version >= 3
		same[*kmsg.DescribeGroupsResponse](c, "describe", version, req)
	}
	same[*kmsg.DeleteGroupsResponse](c, "delete in use", 2, &kmsg.DeleteGroupsRequest{Groups: []string{group, run + "-nogroup"}})
	remove := kmsg.NewPtrOffsetDeleteRequest()
	remove.Group = group
	remove.Topics = append(remove.Topics, kmsg.OffsetDeleteRequestTopic{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}})
	same[*kmsg.OffsetDeleteResponse](c, "delete a subscribed offset", 0, remove)
	both[*kmsg.LeaveGroupResponse](c, "leave", 5, func(side int) kmsg.Request {
		return &kmsg.LeaveGroupRequest{Group: group, Members: []kmsg.LeaveGroupRequestMember{{MemberID: member[side]}, {MemberID: "nobody"}}}
	})
	heartbeat("after leaving", 2, member)
	same[*kmsg.OffsetDeleteResponse](c, "delete an offset", 0, remove)
	commit("commit to the empty group", 8, -1, [2]string{}, "m")
	same[*kmsg.DeleteGroupsResponse](c, "delete", 2, &kmsg.DeleteGroupsRequest{Groups: []string{group}})
	same[*kmsg.OffsetFetchResponse](c, "offsets of what is gone", 8, &kmsg.OffsetFetchRequest{Groups: []kmsg.OffsetFetchRequestGroup{{Group: group}}})
}

// subscriptionOf is what a consumer of one topic says.
func subscriptionOf(topic string) []byte {
	b := append([]byte{0, 0, 0, 0, 0, 1, byte(len(topic) >> 8), byte(len(topic))}, topic...)
	return append(b, 0xff, 0xff, 0xff, 0xff)
}

// compareConfigs describes and alters configs of topics.
func compareConfigs(c *comparison, run string) {
	c.t.Helper()
	topic := run + "-b"
	describe := func(what string, names ...string) {
		c.t.Helper()
		same[*kmsg.DescribeConfigsResponse](c, what, 4, &kmsg.DescribeConfigsRequest{IncludeSynonyms: true, Resources: []kmsg.DescribeConfigsRequestResource{
			{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic, ConfigNames: names}}})
	}
	describe("configs")
	describe("one config", "retention.ms")
	same[*kmsg.DescribeConfigsResponse](c, "configs of what is not there", 4, &kmsg.DescribeConfigsRequest{Resources: []kmsg.DescribeConfigsRequestResource{
		{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: run + "-missing"}}})
	alter := func(what, name string, value *string, op kmsg.IncrementalAlterConfigOp) {
		c.t.Helper()
		same[*kmsg.IncrementalAlterConfigsResponse](c, what, 1, &kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{
			{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic, Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: name, Op: op, Value: value}}}}})
	}
	alter("set", "retention.ms", pointerTo("1000"), kmsg.IncrementalAlterConfigOpSet)
	alter("set wrongly", "retention.ms", pointerTo("soon"), kmsg.IncrementalAlterConfigOpSet)
	alter("set nothing", "retention.ms", nil, kmsg.IncrementalAlterConfigOpSet)
	alter("append to no list", "retention.ms", pointerTo("5"), kmsg.IncrementalAlterConfigOpAppend)
	alter("append", "cleanup.policy", pointerTo("compact"), kmsg.IncrementalAlterConfigOpAppend)
	alter("unknown", "no.such.config", pointerTo("5"), kmsg.IncrementalAlterConfigOpSet)
	for _, conn := range c.conns {
		eventually(c.t, "what was altered is described", func() bool {
			resp := ask[*kmsg.DescribeConfigsResponse](c.t, conn, 4, &kmsg.DescribeConfigsRequest{Resources: []kmsg.DescribeConfigsRequestResource{
				{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"cleanup.policy"}}}})
			return len(resp.Resources[0].Configs) == 1 && resp.Resources[0].Configs[0].Value != nil && *resp.Resources[0].Configs[0].Value == "delete,compact"
		})
	}
	describe("altered", "retention.ms", "cleanup.policy")
	alter("delete", "retention.ms", nil, kmsg.IncrementalAlterConfigOpDelete)
}

// compareDeletions deletes records and topics.
func compareDeletions(c *comparison, run string) {
	c.t.Helper()
	for _, offset := range []int64{3, 1, -1, 99, -5} {
		same[*kmsg.DeleteRecordsResponse](c, fmt.Sprint("delete records before ", offset), 2, &kmsg.DeleteRecordsRequest{TimeoutMillis: 10_000,
			Topics: []kmsg.DeleteRecordsRequestTopic{{Topic: run + "-a", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: offset}, {Partition: 9, Offset: offset}}}}})
	}
	same[*kmsg.DeleteRecordsResponse](c, "delete records of a compacted topic", 2, &kmsg.DeleteRecordsRequest{TimeoutMillis: 10_000,
		Topics: []kmsg.DeleteRecordsRequestTopic{{Topic: run + "-compact", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 0}}}}})
	for _, name := range []string{run + "-a", run + "-a", run + "-missing"} {
		same[*kmsg.DeleteTopicsResponse](c, "delete "+name, 6, &kmsg.DeleteTopicsRequest{TimeoutMillis: 10_000, Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}})
	}
	same[*kmsg.DeleteTopicsResponse](c, "delete by unknown id", 6, &kmsg.DeleteTopicsRequest{TimeoutMillis: 10_000, Topics: []kmsg.DeleteTopicsRequestTopic{{TopicID: [16]byte{1, 2, 3}}}})
	same[*kmsg.DeleteTopicsResponse](c, "delete by name, old", 1, &kmsg.DeleteTopicsRequest{TimeoutMillis: 10_000, TopicNames: []string{run + "-b", run + "-compact"}})
}
