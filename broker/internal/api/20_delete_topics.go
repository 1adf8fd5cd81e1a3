package api

// DeleteTopics, key 20, versions 1-6.
//
//	1  throttle time
//	4  flexible
//	5  error message
//	6  topics by id (KIP-516)
//
// The topic is gone when it is answered. What groups had committed for it goes too. Left out: the time-out, since nothing
// is waited for but the disk.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) deleteTopics(req *server.Request, r *kmsg.DeleteTopicsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DeleteTopicsResponse)
	topics := r.Topics
	for _, name := range r.TopicNames {
		topics = append(topics, kmsg.DeleteTopicsRequestTopic{Topic: &name})
	}
	for i := range topics {
		rt := &topics[i]
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = rt.Topic, rt.TopicID
		if rt.Topic == nil {
			out.Topic = pointer("")
			if r.Version >= 6 {
				out.Topic = nil
			}
		}
		t, kerror := a.deleteTopic(req, rt)
		if kerror != nil {
			out.ErrorCode, out.ErrorMessage = kerror.Code, pointer(kerror.Description)
		} else {
			out.Topic, out.TopicID = &t.Name, t.ID
		}
		resp.Topics = append(resp.Topics, out)
	}
	return a.durable(a.log.Enqueued(), nil, resp)
}

func (a *API) deleteTopic(req *server.Request, rt *kmsg.DeleteTopicsRequestTopic) (commitlog.Topic, *kerr.Error) {
	var t commitlog.Topic
	var kerror *kerr.Error
	switch byID := rt.TopicID != ([16]byte{}); {
	case byID && rt.Topic != nil:
		return t, kerr.InvalidRequest
	case byID:
		t, kerror = a.topic(req, opDelete, "", rt.TopicID, 6, 6)
		if kerror == kerr.TopicAuthorizationFailed && !a.may(req, opDescribe, onTopic, t.Name) {
			kerror = kerr.UnknownTopicID // the name is not theirs to know
		}
	default:
		t, kerror = a.topicNamed(req, opDelete, or(rt.Topic, ""))
	}
	if kerror != nil {
		return t, kerror
	}
	if _, err := a.log.DeleteTopic(t.ID); err != nil {
		return t, cause(err)
	}
	if err := a.coord.ForgetTopic(t.ID); err != nil {
		return t, cause(err)
	}
	return t, nil
}
