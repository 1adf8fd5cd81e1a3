package api

// OffsetCommit, key 8, versions 2-10.
//
//	2   retention time; 5 takes it out again
//	3   throttle time
//	6   leader epochs (KIP-320)
//	7   static members (KIP-345)
//	8   flexible
//	9   member epochs of KIP-848 groups; GROUP_ID_NOT_FOUND and STALE_MEMBER_EPOCH are theirs
//	10  topic ids (KIP-516)
//
// Left out: the retention time of versions 2 to 4; the broker's counts.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) offsetCommit(req *server.Request, r *kmsg.OffsetCommitRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.OffsetCommitResponse)
	cr := group.CommitRequest{Group: r.Group, MemberID: r.MemberID, InstanceID: or(r.InstanceID, ""), Generation: r.Generation}
	groupErr := a.denied(req, opRead, onGroup, r.Group)
	var codes []*int16 // of cr.Offsets
	for i := range r.Topics {
		rt := &r.Topics[i]
		t, terr := a.topic(req, opRead, rt.Topic, rt.TopicID, r.Version, 10)
		if groupErr != nil {
			terr = groupErr
		}
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic, out.TopicID = rt.Topic, rt.TopicID
		out.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(rt.Partitions))
		for j := range rt.Partitions {
			rp, op := &rt.Partitions[j], &out.Partitions[j]
			op.Partition = rp.Partition
			if op.ErrorCode = code(known(t, rp.Partition, terr)); op.ErrorCode != 0 {
				continue
			}
			cr.Offsets = append(cr.Offsets, group.Offset{
				Partition: group.Partition{Topic: t.ID, Index: rp.Partition},
				At:        rp.Offset, LeaderEpoch: rp.LeaderEpoch, Metadata: or(rp.Metadata, ""),
			})
			codes = append(codes, &op.ErrorCode)
		}
		resp.Topics = append(resp.Topics, out)
	}
	results, lsn, err := a.coord.CommitOffsets(cr)
	for i, res := range results {
		*codes[i] = code(res)
	}
	return a.durable(lsn, err, resp)
}

// known checks that t has the partition; err is what was found wrong with the topic.
func known(t commitlog.Topic, index int32, err *kerr.Error) *kerr.Error {
	if err == nil && (index < 0 || index >= t.Partitions) {
		return kerr.UnknownTopicOrPartition
	}
	return err
}
