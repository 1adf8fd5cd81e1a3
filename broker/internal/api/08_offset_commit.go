package api

// OffsetCommit, key 8, versions 2-10.
//
//	2   retention time; 5 takes it out again
//	3   throttle time
//	6   leader epochs (KIP-320)
//	7   static members (KIP-345)
//	8   flexible
//	9   member epochs of KIP-848 groups; GROUP_ID_NOT_FOUND and STALE_MEMBER_EPOCH are theirs. A member commits in its epoch, or in one since
//	    which it has had the partition (KIP-1251)
//	10  topic ids (KIP-516)
//
// Left out: the retention time of versions 2 to 4; the broker's counts.

import (
	"cmp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) offsetCommit(req *server.Request, r *kmsg.OffsetCommitRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.OffsetCommitResponse)
	c := committing{CommitRequest: group.CommitRequest{Group: r.Group, MemberID: r.MemberID, InstanceID: or(r.InstanceID, ""), Generation: r.Generation, MemberEpochs: r.Version >= 9}}
	refused := a.denied(req, opRead, onGroup, r.Group)
	for i := range r.Topics {
		rt := &r.Topics[i]
		t, terr := a.topic(req, opRead, rt.Topic, rt.TopicID, r.Version, 10)
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic, out.TopicID = rt.Topic, rt.TopicID
		out.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(rt.Partitions))
		for j := range rt.Partitions {
			rp, op := &rt.Partitions[j], &out.Partitions[j]
			op.Partition = rp.Partition
			c.add(t, cmp.Or(refused, terr), rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, &op.ErrorCode)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if len(c.Offsets) == 0 { // nothing is asked of the group: as Kafka, which does not look at the sender then
		return server.Now(resp)
	}
	results, lsn, err := a.coord.CommitOffsets(c.CommitRequest)
	c.tell(results)
	return a.durable(lsn, err, resp)
}

// committing is a commit of offsets, and where the results go.
type committing struct {
	group.CommitRequest
	codes []*int16 // of Offsets
}

// add adds the offset of a partition, unless that is not there, which is told at once; refused is what was found wrong before.
func (c *committing) add(t commitlog.Topic, refused *kerr.Error, index int32, at int64, epoch int32, metadata *string, told *int16) {
	if *told = code(known(t, index, refused)); *told != 0 {
		return
	}
	c.Offsets = append(c.Offsets, group.Offset{
		Partition: group.Partition{Topic: t.ID, Index: index}, At: at, LeaderEpoch: epoch, Metadata: or(metadata, ""),
	})
	c.codes = append(c.codes, told)
}

// tell tells the results.
func (c *committing) tell(results []*kerr.Error) {
	for i, res := range results {
		*c.codes[i] = code(res)
	}
}

// known checks that t has the partition; err is what was found wrong with the topic.
func known(t commitlog.Topic, index int32, err *kerr.Error) *kerr.Error {
	if err == nil && (index < 0 || index >= t.Partitions) {
		return kerr.UnknownTopicOrPartition
	}
	return err
}
