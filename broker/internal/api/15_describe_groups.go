package api

// DescribeGroups, key 15, versions 0-6.
//
//	1  throttle time
//	3  authorised operations (KIP-430)
//	4  instance id (KIP-345)
//	5  flexible
//	6  GROUP_ID_NOT_FOUND and a message; before, a group that is not there is Dead (KIP-1043)
//
// Subscriptions and assignments are told while the group is Stable, as in Kafka.

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) describeGroups(req *server.Request, r *kmsg.DescribeGroupsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DescribeGroupsResponse)
	var last commitlog.LSN
	for _, name := range r.Groups {
		out := kmsg.NewDescribeGroupsResponseGroup()
		out.Group, out.State = name, "Dead"
		if kerror := a.denied(req, opDescribe, onGroup, name); kerror != nil {
			out.State, out.ErrorCode = "", kerror.Code
			resp.Groups = append(resp.Groups, out)
			continue
		}
		d, ok, lsn := a.coord.DescribeGroup(name)
		last = max(last, lsn)
		switch {
		case name == "":
			out.ErrorCode = kerr.InvalidGroupID.Code
		case !ok && r.Version >= 6:
			out.ErrorCode, out.ErrorMessage = kerr.GroupIDNotFound.Code, pointer(fmt.Sprintf("Group %s not found.", name))
		case ok:
			out.State, out.ProtocolType, out.Protocol = d.State, d.ProtocolType, d.Protocol
		}
		if r.IncludeAuthorizedOperations && out.ErrorCode == 0 {
			out.AuthorizedOperations = a.operations(req, onGroup, name)
		}
		for _, m := range d.Members {
			om := kmsg.NewDescribeGroupsResponseGroupMember()
			om.MemberID, om.ClientID, om.ClientHost = m.ID, m.ClientID, m.Host
			om.ProtocolMetadata, om.MemberAssignment = m.Metadata, m.Assignment
			if m.Instance != "" {
				om.InstanceID = &m.Instance
			}
			out.Members = append(out.Members, om)
		}
		resp.Groups = append(resp.Groups, out)
	}
	return a.durable(last, nil, resp)
}
