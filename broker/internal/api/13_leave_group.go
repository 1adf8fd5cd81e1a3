package api

// LeaveGroup, key 13, versions 0-5.
//
//	1  throttle time
//	3  several members, also static ones by their instance id (KIP-345)
//	4  flexible
//	5  reason (KIP-800)
//
// Left out: the reason, which only Kafka's log shows.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) leaveGroup(req *server.Request, r *kmsg.LeaveGroupRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.LeaveGroupResponse)
	if kerror := a.denied(req, opRead, onGroup, r.Group); kerror != nil {
		resp.ErrorCode = kerror.Code
		return server.Now(resp)
	}
	members := []group.LeaveMember{{MemberID: r.MemberID}}
	if r.Version >= 3 {
		members = members[:0]
		for _, m := range r.Members {
			members = append(members, group.LeaveMember{MemberID: m.MemberID, InstanceID: or(m.InstanceID, "")})
		}
	}
	results, groupErr, lsn, err := a.coord.Leave(r.Group, members)
	resp.ErrorCode = code(groupErr)
	for i, res := range results {
		if r.Version < 3 {
			resp.ErrorCode = code(res)
			break
		}
		m := kmsg.NewLeaveGroupResponseMember()
		m.MemberID, m.InstanceID, m.ErrorCode = r.Members[i].MemberID, r.Members[i].InstanceID, code(res)
		resp.Members = append(resp.Members, m)
	}
	return a.durable(lsn, err, resp)
}
