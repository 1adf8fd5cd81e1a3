package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// schemas holds the request of every key that is served. A test encodes random requests of every version with the
// generated encoder and checks that the guard consumes exactly their bytes.
var schemas = map[int16]*schema{
	0: { // Produce
		flexible: 9,
		fields: []field{
			str().from(3), fixed(int16Size), fixed(int32Size),
			records[kmsg.ProduceRequestTopic](
				str().to(12), fixed(uuidSize).from(13),
				records[kmsg.ProduceRequestTopicPartition](fixed(int32Size), blob()),
			),
		},
	},
	1: { // Fetch
		flexible: 12,
		fields: []field{
			fixed(int32Size).to(14), fixed(int32Size), fixed(int32Size), fixed(int32Size).from(3), fixed(int8Size).from(4),
			fixed(int32Size).from(7), fixed(int32Size).from(7),
			records[kmsg.FetchRequestTopic](
				str().to(12), fixed(uuidSize).from(13),
				records[kmsg.FetchRequestTopicPartition](
					fixed(int32Size), fixed(int32Size).from(9), fixed(int64Size), fixed(int32Size).from(12),
					fixed(int64Size).from(5), fixed(int32Size),
				).tagged(tag(0, fixed(uuidSize)), tag(1, fixed(int64Size))),
			),
			records[kmsg.FetchRequestForgottenTopic](
				str().between(7, 12), fixed(uuidSize).from(13), listOf[int32](fixed(int32Size)),
			).from(7),
			str().from(11),
		},
		tags: []taggedField{tag(0, str()), tag(1, inline(fixed(int32Size), fixed(int64Size)))},
	},
	2: { // ListOffsets
		flexible: 6,
		fields: []field{
			fixed(int32Size), fixed(int8Size).from(2),
			records[kmsg.ListOffsetsRequestTopic](
				str(),
				records[kmsg.ListOffsetsRequestTopicPartition](
					fixed(int32Size), fixed(int32Size).from(4), fixed(int64Size), fixed(int32Size).to(0),
				),
			),
			fixed(int32Size).from(10),
		},
	},
	3: { // Metadata
		flexible: 9,
		fields: []field{
			records[kmsg.MetadataRequestTopic](fixed(uuidSize).from(10), str()),
			fixed(boolSize).from(4), fixed(boolSize).between(8, 10), fixed(boolSize).from(8),
		},
	},
	8: { // OffsetCommit
		flexible: 8,
		fields: []field{
			str(), fixed(int32Size).from(1), str().from(1), str().from(7), fixed(int64Size).between(2, 4),
			records[kmsg.OffsetCommitRequestTopic](
				str().to(9), fixed(uuidSize).from(10),
				records[kmsg.OffsetCommitRequestTopicPartition](
					fixed(int32Size), fixed(int64Size), fixed(int64Size).between(1, 1), fixed(int32Size).from(6), str(),
				),
			),
		},
	},
	9: { // OffsetFetch
		flexible: 6,
		fields: []field{
			str().to(7),
			records[kmsg.OffsetFetchRequestTopic](str(), listOf[int32](fixed(int32Size))).to(7),
			records[kmsg.OffsetFetchRequestGroup](
				str(), str().from(9), fixed(int32Size).from(9),
				records[kmsg.OffsetFetchRequestGroupTopic](
					str().to(9), fixed(uuidSize).from(10), listOf[int32](fixed(int32Size)),
				),
			).from(8),
			fixed(boolSize).from(7),
		},
	},
	10: { // FindCoordinator
		flexible: 3,
		fields:   []field{str().to(3), fixed(int8Size).from(1), listOf[string](str()).from(4)},
	},
	11: { // JoinGroup
		flexible: 6,
		fields: []field{
			str(), fixed(int32Size), fixed(int32Size).from(1), str(), str().from(5), str(),
			records[kmsg.JoinGroupRequestProtocol](str(), blob()),
			str().from(8),
		},
	},
	12: { // Heartbeat
		flexible: 4,
		fields:   []field{str(), fixed(int32Size), str(), str().from(3)},
	},
	13: { // LeaveGroup
		flexible: 4,
		fields: []field{
			str(), str().to(2),
			records[kmsg.LeaveGroupRequestMember](str(), str(), str().from(5)).from(3),
		},
	},
	14: { // SyncGroup
		flexible: 4,
		fields: []field{
			str(), fixed(int32Size), str(), str().from(3), str().from(5), str().from(5),
			records[kmsg.SyncGroupRequestGroupAssignment](str(), blob()),
		},
	},
	15: { // DescribeGroups
		flexible: 5,
		fields:   []field{listOf[string](str()), fixed(boolSize).from(3)},
	},
	16: { // ListGroups
		flexible: 3,
		fields:   []field{listOf[string](str()).from(4), listOf[string](str()).from(5)},
	},
	17: { // SaslHandshake
		flexible: lastVersion,
		fields:   []field{str()},
	},
	18: { // ApiVersions
		flexible: 3,
		fields:   []field{str().from(3), str().from(3)},
	},
	19: { // CreateTopics
		flexible: 5,
		fields: []field{
			records[kmsg.CreateTopicsRequestTopic](
				str(), fixed(int32Size), fixed(int16Size),
				records[kmsg.CreateTopicsRequestTopicReplicaAssignment](fixed(int32Size), listOf[int32](fixed(int32Size))),
				records[kmsg.CreateTopicsRequestTopicConfig](str(), str()),
			),
			fixed(int32Size), fixed(boolSize).from(1),
		},
	},
	20: { // DeleteTopics
		flexible: 4,
		fields: []field{
			listOf[string](str()).to(5),
			records[kmsg.DeleteTopicsRequestTopic](str(), fixed(uuidSize)).from(6),
			fixed(int32Size),
		},
	},
	21: { // DeleteRecords
		flexible: 2,
		fields: []field{
			records[kmsg.DeleteRecordsRequestTopic](
				str(),
				records[kmsg.DeleteRecordsRequestTopicPartition](fixed(int32Size), fixed(int64Size)),
			),
			fixed(int32Size),
		},
	},
	22: { // InitProducerId
		flexible: 2,
		fields:   []field{str(), fixed(int32Size), fixed(int64Size).from(3), fixed(int16Size).from(3)},
	},
	23: { // OffsetForLeaderEpoch
		flexible: 4,
		fields: []field{
			fixed(int32Size).from(3),
			records[kmsg.OffsetForLeaderEpochRequestTopic](
				str(),
				records[kmsg.OffsetForLeaderEpochRequestTopicPartition](fixed(int32Size), fixed(int32Size).from(2), fixed(int32Size)),
			),
		},
	},
	24: { // AddPartitionsToTxn
		flexible: 3,
		fields: []field{
			str(), fixed(int64Size), fixed(int16Size),
			records[kmsg.AddPartitionsToTxnRequestTopic](str(), listOf[int32](fixed(int32Size))),
		},
	},
	25: { // AddOffsetsToTxn
		flexible: 3,
		fields:   []field{str(), fixed(int64Size), fixed(int16Size), str()},
	},
	26: { // EndTxn
		flexible: 3,
		fields:   []field{str(), fixed(int64Size), fixed(int16Size), fixed(boolSize)},
	},
	28: { // TxnOffsetCommit
		flexible: 3,
		fields: []field{
			str(), str(), fixed(int64Size), fixed(int16Size), fixed(int32Size).from(3), str().from(3), str().from(3),
			records[kmsg.TxnOffsetCommitRequestTopic](
				str(),
				records[kmsg.TxnOffsetCommitRequestTopicPartition](
					fixed(int32Size), fixed(int64Size), fixed(int32Size).from(2), str(),
				),
			),
		},
	},
	29: { // DescribeAcls
		flexible: 2,
		fields: []field{
			fixed(int8Size), str(), fixed(int8Size).from(1), str(), str(), fixed(int8Size), fixed(int8Size),
		},
	},
	30: { // CreateAcls
		flexible: 2,
		fields: []field{records[kmsg.CreateACLsRequestCreation](
			fixed(int8Size), str(), fixed(int8Size).from(1), str(), str(), fixed(int8Size), fixed(int8Size),
		)},
	},
	31: { // DeleteAcls
		flexible: 2,
		fields: []field{records[kmsg.DeleteACLsRequestFilter](
			fixed(int8Size), str(), fixed(int8Size).from(1), str(), str(), fixed(int8Size), fixed(int8Size),
		)},
	},
	32: { // DescribeConfigs
		flexible: 4,
		fields: []field{
			records[kmsg.DescribeConfigsRequestResource](fixed(int8Size), str(), listOf[string](str())),
			fixed(boolSize).from(1), fixed(boolSize).from(3),
		},
	},
	33: { // AlterConfigs
		flexible: 2,
		fields: []field{
			records[kmsg.AlterConfigsRequestResource](
				fixed(int8Size), str(), records[kmsg.AlterConfigsRequestResourceConfig](str(), str()),
			),
			fixed(boolSize),
		},
	},
	35: { // DescribeLogDirs
		flexible: 2,
		fields:   []field{records[kmsg.DescribeLogDirsRequestTopic](str(), listOf[int32](fixed(int32Size)))},
	},
	36: { // SaslAuthenticate
		flexible: 2,
		fields:   []field{blob()},
	},
	37: { // CreatePartitions
		flexible: 2,
		fields: []field{
			records[kmsg.CreatePartitionsRequestTopic](
				str(), fixed(int32Size),
				records[kmsg.CreatePartitionsRequestTopicAssignment](listOf[int32](fixed(int32Size))),
			),
			fixed(int32Size), fixed(boolSize),
		},
	},
	42: { // DeleteGroups
		flexible: 2,
		fields:   []field{listOf[string](str())},
	},
	44: { // IncrementalAlterConfigs
		flexible: 1,
		fields: []field{
			records[kmsg.IncrementalAlterConfigsRequestResource](
				fixed(int8Size), str(),
				records[kmsg.IncrementalAlterConfigsRequestResourceConfig](str(), fixed(int8Size), str()),
			),
			fixed(boolSize),
		},
	},
	46: { // ListPartitionReassignments
		fields: []field{
			fixed(int32Size),
			records[kmsg.ListPartitionReassignmentsRequestTopic](str(), listOf[int32](fixed(int32Size))),
		},
	},
	47: { // OffsetDelete
		flexible: lastVersion,
		fields: []field{
			str(),
			records[kmsg.OffsetDeleteRequestTopic](str(), records[kmsg.OffsetDeleteRequestTopicPartition](fixed(int32Size))),
		},
	},
	50: { // DescribeUserScramCredentials
		fields: []field{records[kmsg.DescribeUserSCRAMCredentialsRequestUser](str())},
	},
	51: { // AlterUserScramCredentials
		fields: []field{
			records[kmsg.AlterUserSCRAMCredentialsRequestDeletion](str(), fixed(int8Size)),
			records[kmsg.AlterUserSCRAMCredentialsRequestUpsertion](str(), fixed(int8Size), fixed(int32Size), blob(), blob()),
		},
	},
	60: { // DescribeCluster
		fields: []field{fixed(boolSize), fixed(int8Size).from(1), fixed(boolSize).from(2)},
	},
	61: { // DescribeProducers
		fields: []field{records[kmsg.DescribeProducersRequestTopic](str(), listOf[int32](fixed(int32Size)))},
	},
	65: { // DescribeTransactions
		fields: []field{listOf[string](str())},
	},
	66: { // ListTransactions
		fields: []field{
			listOf[string](str()), listOf[int64](fixed(int64Size)), fixed(int64Size).from(1), str().from(2),
		},
	},
	68: { // ConsumerGroupHeartbeat
		fields: []field{
			str(), str(), fixed(int32Size), str(), str(), fixed(int32Size), listOf[string](str()), str().from(1), str(),
			records[kmsg.ConsumerGroupHeartbeatRequestTopic](fixed(uuidSize), listOf[int32](fixed(int32Size))),
		},
	},
	69: { // ConsumerGroupDescribe
		fields: []field{listOf[string](str()), fixed(boolSize)},
	},
	75: { // DescribeTopicPartitions
		fields: []field{
			records[kmsg.DescribeTopicPartitionsRequestTopic](str()), fixed(int32Size),
			nullable(str(), fixed(int32Size)),
		},
	},
}
