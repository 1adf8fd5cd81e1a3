package api

// Heartbeat, key 12, versions 0-4.
//
//	1  throttle time
//	3  static members (KIP-345)
//	4  flexible

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) heartbeat(req *server.Request, r *kmsg.HeartbeatRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.HeartbeatResponse)
	if kerror := a.denied(req, opRead, onGroup, r.Group); kerror != nil {
		resp.ErrorCode = kerror.Code
		return server.Now(resp)
	}
	kerror, lsn, err := a.coord.Heartbeat(group.HeartbeatRequest{
		Group: r.Group, MemberID: r.MemberID, InstanceID: or(r.InstanceID, ""), Generation: r.Generation,
	})
	resp.ErrorCode = code(kerror)
	return a.durable(lsn, err, resp)
}
