package api

// OffsetDelete, key 47, versions 0-0.
//
// Offsets of topics that a member subscribes to stay (GROUP_SUBSCRIBED_TO_TOPIC), and so do all of a group that has members and is
// not one of consumers (NON_EMPTY_GROUP).

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) offsetDelete(req *server.Request, r *kmsg.OffsetDeleteRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.OffsetDeleteResponse)
	if kerror := a.denied(req, opDelete, onGroup, r.Group); kerror != nil {
		resp.ErrorCode = kerror.Code
		return server.Now(resp)
	}
	type place struct{ topic, partition int }
	var known []group.NamedPartition
	var places []place
	for i := range r.Topics {
		rt := &r.Topics[i]
		t, terr := a.topicNamed(req, opRead, rt.Topic)
		out := kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = rt.Topic
		for j, rp := range rt.Partitions {
			op := kmsg.NewOffsetDeleteResponseTopicPartition()
			op.Partition = rp.Partition
			if _, kerror := a.partition(t, rp.Partition, terr); kerror != nil {
				op.ErrorCode = kerror.Code
			} else {
				known = append(known, group.NamedPartition{Partition: group.Partition{Topic: t.ID, Index: rp.Partition}, Topic: t.Name})
				places = append(places, place{i, j})
			}
			out.Partitions = append(out.Partitions, op)
		}
		resp.Topics = append(resp.Topics, out)
	}
	results, groupErr, lsn, err := a.coord.DeleteOffsets(r.Group, known)
	if groupErr != nil {
		resp.ErrorCode, resp.Topics = groupErr.Code, nil
	}
	for i, kerror := range results {
		if err != nil && kerror == nil {
			kerror = kerr.KafkaStorageError
		}
		resp.Topics[places[i].topic].Partitions[places[i].partition].ErrorCode = code(kerror)
	}
	return a.durable(lsn, nil, resp)
}
