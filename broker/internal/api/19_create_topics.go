package api

// CreateTopics, key 19, versions 2-7.
//
//	2  throttle time
//	4  clients may count on it that partitions and replication factor may be -1, the broker's defaults (KIP-464); Kafka takes them before
//	5  flexible; configs in the answer (KIP-525)
//	6  THROTTLING_QUOTA_EXCEEDED
//	7  topic id (KIP-516)
//
// Any replication factor is accepted, and reported as 1: there is one replica. The configs in the answer are never null,
// since Java's admin client breaks on that. Left out: quotas.

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) createTopics(req *server.Request, r *kmsg.CreateTopicsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.CreateTopicsResponse)
	times := make(map[string]int, len(r.Topics))
	for i := range r.Topics {
		times[r.Topics[i].Topic]++
	}
	for i := range r.Topics {
		rt := &r.Topics[i]
		if times[rt.Topic] == 0 {
			continue // it was answered
		}
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic, out.NumPartitions, out.ReplicationFactor = rt.Topic, -1, -1
		out.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
		t, err := commitlog.Topic{}, error(nil)
		switch {
		case times[rt.Topic] > 1:
			err = refusal{kerr.InvalidRequest, "the request names the topic more than once"}
		case !a.mayCluster(req, opCreate) && !a.may(req, opCreate, onTopic, rt.Topic):
			err = refusal{kerr.TopicAuthorizationFailed, kerr.TopicAuthorizationFailed.Description}
		default:
			t, err = a.createTopic(rt, r.ValidateOnly)
		}
		switch {
		case err != nil:
			out.ErrorCode, out.ErrorMessage = refusalCode(err).Code, pointer(err.Error())
		case !a.may(req, opDescribeConfigs, onTopic, t.Name):
			out.TopicID, out.ConfigErrorCode = t.ID, kerr.TopicAuthorizationFailed.Code
		default:
			out.TopicID, out.NumPartitions, out.ReplicationFactor = t.ID, t.Partitions, 1
			for _, c := range describeTopicConfigs(t) {
				oc := kmsg.NewCreateTopicsResponseTopicConfig()
				oc.Name, oc.Value, oc.ReadOnly, oc.Source = c.name, &c.value, c.readOnly, int8(c.source)
				out.Configs = append(out.Configs, oc)
			}
		}
		times[rt.Topic] = 0
		resp.Topics = append(resp.Topics, out)
	}
	return a.durable(a.log.Enqueued(), nil, resp)
}

// refusal is an error with its code and a message for the client.
type refusal struct {
	code    *kerr.Error
	message string
}

func (r refusal) Error() string { return r.message }

func refusalCode(err error) *kerr.Error {
	if r, ok := errors.AsType[refusal](err); ok {
		return r.code
	}
	return cause(err)
}

// createTopic checks one topic of a request and, unless it is to be validated only, creates it.
func (a *API) createTopic(rt *kmsg.CreateTopicsRequestTopic, validateOnly bool) (commitlog.Topic, error) {
	spec, err := a.topicSpec(rt)
	if err != nil {
		return commitlog.Topic{}, err
	}
	if !validateOnly {
		t, _, err := a.log.CreateTopic(spec)
		return t, err
	}
	return commitlog.Topic{Name: spec.Name, Partitions: spec.Partitions, Configs: spec.Configs}, a.log.CheckTopic(spec)
}

// topicSpec turns a topic of a request into what the log takes, which checks names, counts and configs.
func (a *API) topicSpec(rt *kmsg.CreateTopicsRequestTopic) (commitlog.TopicSpec, error) {
	spec := commitlog.TopicSpec{Name: rt.Topic, Partitions: rt.NumPartitions, Configs: make(map[string]string)}
	if len(rt.ReplicaAssignment) > 0 {
		if rt.NumPartitions != -1 || rt.ReplicationFactor != -1 {
			return spec, refusal{kerr.InvalidRequest, "with a replica assignment, partitions and replication factor must be -1"}
		}
		if why := checkAssignment(rt.ReplicaAssignment); why != "" {
			return spec, refusal{kerr.InvalidReplicaAssignment, why}
		}
		spec.Partitions = int32(len(rt.ReplicaAssignment))
	} else {
		if spec.Partitions == -1 {
			spec.Partitions = a.cfg.DefaultPartitions
		}
		if rt.ReplicationFactor == 0 || rt.ReplicationFactor < -1 {
			return spec, refusal{kerr.InvalidReplicationFactor, "replication factor must be positive"}
		}
	}
	for _, c := range rt.Configs {
		if c.Value == nil {
			return spec, refusal{kerr.InvalidConfig, fmt.Sprintf("config %s has no value", c.Name)}
		}
		spec.Configs[c.Name] = *c.Value
	}
	return spec, nil
}

func checkAssignment(assignment []kmsg.CreateTopicsRequestTopicReplicaAssignment) string {
	seen := make(map[int32]bool, len(assignment))
	for _, p := range assignment {
		if p.Partition < 0 || int(p.Partition) >= len(assignment) || seen[p.Partition] {
			return "partitions of a replica assignment must be consecutive from 0"
		}
		seen[p.Partition] = true
		if len(p.Replicas) != 1 || p.Replicas[0] != nodeID {
			return fmt.Sprintf("the one broker is %d", nodeID)
		}
	}
	return ""
}
