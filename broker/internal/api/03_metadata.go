package api

// Metadata, key 3, versions 0-13.
//
//	1   controller, rack, internal topics; null asks for all topics, none for none
//	2   cluster id
//	3   throttle time
//	4   allow_auto_topic_creation
//	5   offline replicas
//	7   leader epochs (KIP-320)
//	8   authorised operations (KIP-430)
//	9   flexible
//	10  topic ids
//	11  cluster's authorised operations are gone
//	12  topics by id (KIP-516)
//	13  error code (KIP-1102)
//
// A client is told the address by which its own connection came in, or the advertised one of that listener.

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) metadata(req *server.Request, r *kmsg.MetadataRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.MetadataResponse)
	broker := kmsg.NewMetadataResponseBroker()
	broker.NodeID, broker.Host, broker.Port = nodeID, req.Peer.AdvertisedHost, req.Peer.AdvertisedPort
	if a.cfg.Rack != "" {
		broker.Rack = &a.cfg.Rack
	}
	resp.Brokers = append(resp.Brokers, broker)
	resp.ClusterID, resp.ControllerID = pointer(a.log.ClusterID()), nodeID
	if r.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = a.operations(req, onCluster, access.ClusterName)
	}
	if r.Topics == nil || r.Version == 0 && len(r.Topics) == 0 {
		for _, t := range a.log.Topics() {
			if a.may(req, opDescribe, onTopic, t.Name) {
				resp.Topics = append(resp.Topics, a.describeTopic(req, r, t))
			}
		}
		return a.durable(a.log.Enqueued(), nil, resp)
	}
	for i := range r.Topics {
		t, err := a.lookUp(req, r, &r.Topics[i])
		if err != nil {
			out := kmsg.NewMetadataResponseTopic()
			out.ErrorCode, out.Topic, out.TopicID = err.Code, r.Topics[i].Topic, r.Topics[i].TopicID
			if out.Topic == nil && r.Version < 12 {
				out.Topic = pointer("")
			}
			resp.Topics = append(resp.Topics, out)
			continue
		}
		resp.Topics = append(resp.Topics, a.describeTopic(req, r, t))
	}
	return a.durable(a.log.Enqueued(), nil, resp)
}

// lookUp finds a topic by name, else by id, and creates it if that is allowed.
func (a *API) lookUp(req *server.Request, r *kmsg.MetadataRequest, rt *kmsg.MetadataRequestTopic) (commitlog.Topic, *kerr.Error) {
	if rt.Topic == nil {
		if r.Version < 10 || rt.TopicID == ([16]byte{}) {
			return commitlog.Topic{}, kerr.InvalidTopicException
		}
		t, err := a.topic(req, opDescribe, "", rt.TopicID, r.Version, 10)
		if err == kerr.TopicAuthorizationFailed { // the name is not theirs to know
			return commitlog.Topic{}, kerr.UnknownTopicID
		}
		return t, err
	}
	t, err := a.topicNamed(req, opDescribe, *rt.Topic)
	if err == nil || err == kerr.TopicAuthorizationFailed {
		return t, err
	}
	spec := commitlog.TopicSpec{Name: *rt.Topic, Partitions: a.cfg.DefaultPartitions}
	if errors.Is(a.log.CheckTopic(spec), commitlog.ErrInvalidTopicName) {
		return t, kerr.InvalidTopicException
	}
	if !a.cfg.AutoCreateTopics || r.Version >= 4 && !r.AllowAutoTopicCreation {
		return t, err
	}
	if !a.mayCluster(req, opCreate) && !a.may(req, opCreate, onTopic, spec.Name) {
		return t, kerr.TopicAuthorizationFailed
	}
	t, _, cerr := a.log.CreateTopic(spec)
	if cerr != nil {
		kerror := cause(cerr)
		if kerror == kerr.TopicAlreadyExists { // another client was faster
			return a.topicNamed(req, opDescribe, *rt.Topic)
		}
		return t, kerror
	}
	return t, nil
}

func (a *API) describeTopic(req *server.Request, r *kmsg.MetadataRequest, t commitlog.Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID = &t.Name, t.ID
	if r.IncludeTopicAuthorizedOperations {
		out.AuthorizedOperations = a.operations(req, onTopic, t.Name)
	}
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, t.Partitions)
	replicas := []int32{nodeID}
	for i := range out.Partitions {
		p := &out.Partitions[i]
		p.Default()
		p.Partition, p.Leader, p.Replicas, p.ISR, p.OfflineReplicas = int32(i), nodeID, replicas, replicas, []int32{}
		if part := a.log.Partition(t.ID, int32(i)); part != nil {
			p.LeaderEpoch = part.LeaderEpoch()
		}
	}
	return out
}
