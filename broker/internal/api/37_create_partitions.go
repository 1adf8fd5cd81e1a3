package api

// CreatePartitions, key 37, versions 0-3.
//
//	1  throttling after the answer (KIP-219)
//	2  flexible
//	3  THROTTLING_QUOTA_EXCEEDED
//
// The new partitions are empty and can be used when it is answered. Records that are there stay where they are, so that from then
// on equal keys may be found in two partitions. Left out: quotas, and the time-out, since nothing is waited for but the disk.

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) createPartitions(req *server.Request, r *kmsg.CreatePartitionsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.CreatePartitionsResponse)
	times := make(map[string]int, len(r.Topics))
	for i := range r.Topics {
		times[r.Topics[i].Topic]++
	}
	for i := range r.Topics {
		rt := &r.Topics[i]
		if times[rt.Topic] == 0 {
			continue // it was answered
		}
		out := kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = rt.Topic
		var err error
		if times[rt.Topic] > 1 {
			err = refusal{kerr.InvalidRequest, "the request names the topic more than once"}
		} else {
			err = a.growTopic(req, rt, r.ValidateOnly)
		}
		times[rt.Topic] = 0
		if err != nil {
			out.ErrorCode, out.ErrorMessage = refusalCode(err).Code, pointer(err.Error())
		}
		resp.Topics = append(resp.Topics, out)
	}
	return a.durable(a.log.Enqueued(), nil, resp)
}

// growTopic checks one topic of a request and, unless it is to be validated only, gives it its partitions.
func (a *API) growTopic(req *server.Request, rt *kmsg.CreatePartitionsRequestTopic, validateOnly bool) error {
	t, kerror := a.topicNamed(req, opAlter, rt.Topic)
	switch kerror {
	case nil:
	case kerr.TopicAuthorizationFailed:
		return refusal{kerror, kerror.Description}
	default:
		return refusal{kerror, fmt.Sprintf("topic %q does not exist", rt.Topic)}
	}
	if err := a.log.CheckGrow(t.ID, rt.Count); err != nil {
		return err
	}
	if why := checkGrownAssignment(rt.Assignment, int(rt.Count-t.Partitions)); why != "" {
		return refusal{kerr.InvalidReplicaAssignment, why}
	}
	if validateOnly {
		return nil
	}
	_, err := a.log.GrowTopic(t.ID, rt.Count)
	return err
}

// checkGrownAssignment checks where the client wants the added partitions, which may be left open.
func checkGrownAssignment(assignment []kmsg.CreatePartitionsRequestTopicAssignment, added int) string {
	if len(assignment) > 0 && len(assignment) != added {
		return fmt.Sprintf("%d partitions are added, %d are assigned", added, len(assignment))
	}
	for _, p := range assignment {
		if len(p.Replicas) != 1 || p.Replicas[0] != nodeID {
			return fmt.Sprintf("the one broker is %d", nodeID)
		}
	}
	return ""
}
