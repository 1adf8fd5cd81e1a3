package api

// DescribeTopicPartitions, key 75, versions 0-0.
//
// Topics in the order of their names, up to a number of partitions; the cursor says where to go on. No topics ask for all.

import (
	"cmp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

// maxDescribedPartitions bounds an answer (max.request.partition.size.limit).
const maxDescribedPartitions = 2000

func (a *API) describeTopicPartitions(req *server.Request, r *kmsg.DescribeTopicPartitionsRequest) server.Reply {
	if r.Cursor != nil && r.Cursor.Partition < 0 || r.ResponsePartitionLimit < 1 {
		return server.Fail(kerr.InvalidRequest)
	}
	resp := r.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	names := make([]string, 0, len(r.Topics))
	for i := range r.Topics {
		names = append(names, r.Topics[i].Topic)
	}
	if len(names) == 0 {
		for _, t := range a.log.Topics() {
			if a.may(req, opDescribe, onTopic, t.Name) {
				names = append(names, t.Name)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	from := int32(0)
	if c := r.Cursor; c != nil {
		at, found := slices.BinarySearchFunc(names, c.Topic, func(name, topic string) int { return cmp.Compare(name, topic) })
		if names = names[at:]; found {
			from = c.Partition
		}
	}
	left := min(r.ResponsePartitionLimit, maxDescribedPartitions)
	for _, name := range names {
		if left == 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: from}
			break
		}
		out, next := a.describePartitions(req, name, from, left)
		left -= int32(len(out.Partitions))
		resp.Topics = append(resp.Topics, out)
		if from = 0; next > 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name, Partition: next}
			break
		}
	}
	return a.durable(a.log.Enqueued(), nil, resp)
}

// describePartitions describes at most that many partitions of a topic, and returns which is the next, or 0.
func (a *API) describePartitions(req *server.Request, name string, from, most int32) (out kmsg.DescribeTopicPartitionsResponseTopic, next int32) {
	out = kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic = pointer(strings.Clone(name))
	t, kerror := a.topicNamed(req, opDescribe, name)
	if kerror != kerr.TopicAuthorizationFailed {
		out.AuthorizedOperations = a.operations(req, onTopic, name)
	}
	if kerror != nil {
		out.ErrorCode = kerror.Code
		return out, 0
	}
	out.TopicID = t.ID
	to := min(t.Partitions, from+most)
	replicas := []int32{nodeID}
	for i := from; i < to; i++ {
		p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		p.Partition, p.LeaderID, p.Replicas, p.ISR, p.OfflineReplicas = i, nodeID, replicas, replicas, []int32{}
		p.EligibleLeaderReplicas, p.LastKnownELR = []int32{}, []int32{} // Java's admin client of 4.4 does not take null
		if part := a.log.Partition(t.ID, i); part != nil {
			p.LeaderEpoch = part.LeaderEpoch()
		}
		out.Partitions = append(out.Partitions, p)
	}
	if to < t.Partitions && to > from {
		return out, to
	}
	return out, 0
}
