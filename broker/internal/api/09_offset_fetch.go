package api

// OffsetFetch, key 9, versions 1-10.
//
//	1   offsets of the coordinator
//	2   null topics ask for all; error code of the group
//	3   throttle time
//	5   leader epochs (KIP-320)
//	6   flexible
//	7   require_stable (KIP-447)
//	8   several groups (KIP-709)
//	9   member epochs of KIP-848 groups
//	10  topic ids (KIP-516)
//
// A group or partition that is not known has offset -1 and no error. Member epochs are checked in KIP-848 groups; classic ones have none.

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) offsetFetch(req *server.Request, r *kmsg.OffsetFetchRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.OffsetFetchResponse)
	if r.Version < 8 {
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = r.Group
		if r.Topics != nil {
			g.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
		}
		for _, t := range r.Topics {
			g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions})
		}
		out, lsn := a.groupOffsets(req, &g, r)
		resp.ErrorCode = out.ErrorCode
		for _, t := range out.Topics {
			topic := kmsg.NewOffsetFetchResponseTopic()
			topic.Topic = t.Topic
			for _, p := range t.Partitions {
				topic.Partitions = append(topic.Partitions, kmsg.OffsetFetchResponseTopicPartition{
					Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
				})
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return a.durable(lsn, nil, resp)
	}
	var last commitlog.LSN
	for i := range r.Groups {
		out, lsn := a.groupOffsets(req, &r.Groups[i], r)
		resp.Groups, last = append(resp.Groups, out), max(last, lsn)
	}
	return a.durable(last, nil, resp)
}

// groupOffsets answers for one group.
func (a *API) groupOffsets(req *server.Request, g *kmsg.OffsetFetchRequestGroup, r *kmsg.OffsetFetchRequest) (kmsg.OffsetFetchResponseGroup, commitlog.LSN) {
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = g.Group
	if kerror := a.denied(req, opDescribe, onGroup, g.Group); kerror != nil {
		return refuseOffsets(out, g, kerror, r.Version), 0
	}
	if kerror := a.coord.MayFetchOffsets(g.Group, g.MemberID, g.MemberEpoch); kerror != nil {
		return refuseOffsets(out, g, kerror, r.Version), 0
	}
	if g.Topics == nil {
		return a.allOffsets(req, out, r.RequireStable)
	}
	var last commitlog.LSN
	for i := range g.Topics {
		rt := &g.Topics[i]
		t, terr := a.topic(req, opDescribe, rt.Topic, rt.TopicID, r.Version, 10)
		ot := kmsg.NewOffsetFetchResponseGroupTopic()
		ot.Topic, ot.TopicID = rt.Topic, rt.TopicID
		partitions := make([]group.Partition, len(rt.Partitions))
		for j, index := range rt.Partitions {
			partitions[j] = group.Partition{Topic: t.ID, Index: index}
		}
		fetched, lsn := a.coord.FetchOffsets(g.Group, partitions, r.RequireStable)
		last = max(last, lsn)
		for _, f := range fetched {
			switch terr {
			case kerr.UnknownTopicID: // by name, a topic that is not there has offset -1 and no error
				f.Err = terr
			case kerr.TopicAuthorizationFailed:
				f = noOffset(f.Partition, terr)
			}
			ot.Partitions = append(ot.Partitions, fetchedOffset(f))
		}
		out.Topics = append(out.Topics, ot)
	}
	return out, last
}

// refuseOffsets answers for a group with an error: in version 1, which has no place for it, for each partition.
func refuseOffsets(out kmsg.OffsetFetchResponseGroup, g *kmsg.OffsetFetchRequestGroup, kerror *kerr.Error, version int16) kmsg.OffsetFetchResponseGroup {
	out.ErrorCode = kerror.Code
	if version >= 2 {
		return out
	}
	for i := range g.Topics {
		ot := kmsg.NewOffsetFetchResponseGroupTopic()
		ot.Topic = g.Topics[i].Topic
		for _, index := range g.Topics[i].Partitions {
			ot.Partitions = append(ot.Partitions, fetchedOffset(noOffset(group.Partition{Index: index}, kerror)))
		}
		out.Topics = append(out.Topics, ot)
	}
	return out
}

// allOffsets answers with everything that the group has of topics that are still there.
func (a *API) allOffsets(req *server.Request, out kmsg.OffsetFetchResponseGroup, requireStable bool) (kmsg.OffsetFetchResponseGroup, commitlog.LSN) {
	fetched, lsn := a.coord.FetchOffsets(out.Group, nil, requireStable)
	for _, f := range fetched {
		t, ok := a.log.TopicByID(f.Topic)
		if !ok || !a.may(req, opDescribe, onTopic, t.Name) {
			continue
		}
		i := slices.IndexFunc(out.Topics, func(o kmsg.OffsetFetchResponseGroupTopic) bool { return o.TopicID == f.Topic })
		if i < 0 {
			ot := kmsg.NewOffsetFetchResponseGroupTopic()
			ot.Topic, ot.TopicID = t.Name, t.ID
			out.Topics = append(out.Topics, ot)
			i = len(out.Topics) - 1
		}
		out.Topics[i].Partitions = append(out.Topics[i].Partitions, fetchedOffset(f))
	}
	return out, lsn
}

func noOffset(p group.Partition, err *kerr.Error) group.Fetched {
	return group.Fetched{Offset: group.Offset{Partition: p, At: -1, LeaderEpoch: -1}, Err: err}
}

func fetchedOffset(f group.Fetched) kmsg.OffsetFetchResponseGroupTopicPartition {
	op := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	op.Partition, op.Offset, op.LeaderEpoch, op.Metadata, op.ErrorCode = f.Index, f.At, f.LeaderEpoch, &f.Metadata, code(f.Err)
	return op
}
