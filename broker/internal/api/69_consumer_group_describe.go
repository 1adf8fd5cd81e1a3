package api

// ConsumerGroupDescribe, key 69, versions 0-1.
//
//	0  the consumer group protocol (KIP-848)
//	1  member types (KIP-1099)
//
// A group that has topics of which the client may not know is not described to it, as in Kafka.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

// memberTypes are the numbers of the protocols that members speak.
var memberTypes = map[string]int8{group.Classic: 0, group.Consumer: 1}

func (a *API) consumerGroupDescribe(req *server.Request, r *kmsg.ConsumerGroupDescribeRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
	var last commitlog.LSN
	for _, name := range r.Groups {
		out := kmsg.NewConsumerGroupDescribeResponseGroup()
		out.Group = name
		if kerror := a.denied(req, opDescribe, onGroup, name); kerror != nil {
			out.ErrorCode = kerror.Code
			resp.Groups = append(resp.Groups, out)
			continue
		}
		d, ok, lsn := a.coord.DescribeConsumerGroup(name)
		last = max(last, lsn)
		if !ok {
			kerror, why := consumerFault(name)
			out.ErrorCode, out.ErrorMessage = kerror.Code, &why
			resp.Groups = append(resp.Groups, out)
			continue
		}
		out.State, out.Epoch, out.AssignmentEpoch, out.AssignorName = d.State, d.Epoch, d.TargetEpoch, d.Assignor
		if r.IncludeAuthorizedOperations {
			out.AuthorizedOperations = a.operations(req, onGroup, name)
		}
		if !a.describeMembers(req, &d, &out) {
			out = kmsg.NewConsumerGroupDescribeResponseGroup()
			out.Group, out.ErrorCode = name, kerr.TopicAuthorizationFailed.Code
			out.ErrorMessage = pointer("The group has described topic(s) that the client is not authorized to describe.")
		}
		resp.Groups = append(resp.Groups, out)
	}
	return a.durable(last, nil, resp)
}

// describeMembers reports whether the client may know of all their topics.
func (a *API) describeMembers(req *server.Request, d *group.ConsumerDescription, out *kmsg.ConsumerGroupDescribeResponseGroup) (may bool) {
	may = true
	see := func(topic string) { may = may && a.may(req, opDescribe, onTopic, topic) }
	assignment := func(all []group.Partition) (x kmsg.Assignment) {
		byTopic(all, func(id group.TopicID, partitions []int32) {
			t, ok := a.log.TopicByID(id)
			if !ok {
				return
			}
			see(t.Name)
			x.TopicPartitions = append(x.TopicPartitions, kmsg.AssignmentTopicPartition{TopicID: id, Topic: t.Name, Partitions: partitions})
		})
		return x
	}
	for i := range d.Members {
		m := &d.Members[i]
		om := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		om.MemberID, om.MemberEpoch, om.ClientID, om.ClientHost, om.MemberType = m.ID, m.Epoch, m.ClientID, m.Host, memberTypes[m.Type]
		if m.Instance != "" {
			om.InstanceID = &m.Instance
		}
		if m.Rack != "" {
			om.RackID = &m.Rack
		}
		for _, name := range m.Names {
			see(name)
		}
		om.SubscribedTopics, om.SubscribedTopicRegex = m.Names, &m.Pattern // empty, not null, if there is none: as Kafka
		om.Assignment, om.TargetAssignment = assignment(m.Assigned), assignment(m.Target)
		out.Members = append(out.Members, om)
	}
	return may
}
