package api

// OffsetForLeaderEpoch, key 23, versions 2-4.
//
//	2  current leader epoch (KIP-320)
//	3  replica id
//	4  flexible
//
// An epoch that is not known yet, or was forgotten, has epoch and offset -1 and no error.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) offsetForLeaderEpoch(req *server.Request, r *kmsg.OffsetForLeaderEpochRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for i := range r.Topics {
		rt := &r.Topics[i]
		t, terr := a.topicNamed(req, opDescribe, rt.Topic)
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = rt.Topic
		for j := range rt.Partitions {
			rp := &rt.Partitions[j]
			op := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			op.Partition, op.LeaderEpoch, op.EndOffset = rp.Partition, -1, -1
			part, kerror := a.partition(t, rp.Partition, terr)
			if kerror == nil {
				kerror = checkEpoch(part, rp.CurrentLeaderEpoch)
			}
			if kerror == nil {
				if epoch, end, ok := part.EpochEnd(rp.LeaderEpoch); ok {
					op.LeaderEpoch, op.EndOffset = epoch, end
				}
			}
			op.ErrorCode = code(kerror)
			out.Partitions = append(out.Partitions, op)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return server.Now(resp)
}
