package api

// ConsumerGroupHeartbeat, key 68, versions 0-1.
//
//	0  the consumer group protocol (KIP-848)
//	1  members choose their own ids; regular expressions

import (
	"cmp"
	"crypto/rand"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) consumerGroupHeartbeat(req *server.Request, r *kmsg.ConsumerGroupHeartbeatRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
	refused := a.denied(req, opRead, onGroup, r.Group)
	for _, name := range r.SubscribedTopicNames {
		refused = cmp.Or(refused, a.denied(req, opDescribe, onTopic, name))
	}
	if refused != nil {
		resp.ErrorCode = refused.Code
		return server.Now(resp)
	}
	res, lsn, err := a.coord.ConsumerHeartbeat(a.consumerRequest(req, r))
	if res.Err != nil {
		resp.ErrorCode, resp.ErrorMessage = res.Err.Code, &res.Message
		return a.durable(lsn, err, resp)
	}
	resp.MemberID, resp.MemberEpoch = &res.MemberID, res.MemberEpoch
	resp.HeartbeatIntervalMillis = int32(res.Interval.Milliseconds())
	if res.Tell {
		assignment := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
		byTopic(res.Assigned, func(id group.TopicID, partitions []int32) {
			assignment.Topics = append(assignment.Topics, kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{TopicID: id, Partitions: partitions})
		})
		resp.Assignment = &assignment
	}
	return a.durable(lsn, err, resp)
}

func (a *API) consumerRequest(req *server.Request, r *kmsg.ConsumerGroupHeartbeatRequest) group.ConsumerHeartbeatRequest {
	cr := group.ConsumerHeartbeatRequest{
		Group: r.Group, MemberID: r.MemberID, MemberEpoch: r.MemberEpoch, InstanceID: r.InstanceID, Rack: r.RackID,
		Names: r.SubscribedTopicNames, Pattern: r.SubscribedTopicRegex, Assignor: r.ServerAssignor, OwnedKnown: r.Topics != nil,
		ClientID: req.ClientID, Host: req.Peer.Host,
		May: func(topic string) bool { return a.may(req, opDescribe, onTopic, topic) },
	}
	if r.RebalanceTimeoutMillis != -1 {
		cr.RebalanceTimeout = pointer(time.Duration(r.RebalanceTimeoutMillis) * time.Millisecond)
	}
	if r.Version == 0 {
		cr.NewMemberID = rand.Text()
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			cr.Owned = append(cr.Owned, group.Partition{Topic: t.TopicID, Index: p})
		}
	}
	return cr
}

// byTopic calls f with the partitions of each topic of a sorted set.
func byTopic(all []group.Partition, f func(id group.TopicID, partitions []int32)) {
	for i := 0; i < len(all); {
		id := all[i].Topic
		var partitions []int32
		for ; i < len(all) && all[i].Topic == id; i++ {
			partitions = append(partitions, all[i].Index)
		}
		f(id, partitions)
	}
}

// consumerFault is the error of a group that is not there, or is not of the kind that was asked for.
func consumerFault(name string) (*kerr.Error, string) {
	if name == "" {
		return kerr.InvalidGroupID, "The group id is empty."
	}
	return kerr.GroupIDNotFound, "Group " + name + " not found."
}
