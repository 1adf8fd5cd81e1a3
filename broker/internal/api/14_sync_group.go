package api

// SyncGroup, key 14, versions 0-5.
//
//	1  throttle time
//	3  static members (KIP-345)
//	4  flexible
//	5  protocol type and name, which must be there, and are compared (KIP-559)

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) syncGroup(req *server.Request, r *kmsg.SyncGroupRequest) server.Reply {
	kerror := a.denied(req, opRead, onGroup, r.Group)
	if kerror == nil && r.Version >= 5 && (r.ProtocolType == nil || r.Protocol == nil) {
		kerror = kerr.InconsistentGroupProtocol
	}
	if kerror != nil {
		resp := r.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ErrorCode = kerror.Code
		return server.Now(resp)
	}
	sr := group.SyncRequest{
		Group: r.Group, MemberID: r.MemberID, InstanceID: or(r.InstanceID, ""), Generation: r.Generation,
		ProtocolType: r.ProtocolType, Protocol: r.Protocol, Assignments: make(map[string][]byte, len(r.GroupAssignment)),
	}
	for _, m := range r.GroupAssignment {
		sr.Assignments[m.MemberID] = m.MemberAssignment
	}
	parked := a.coord.Sync(sr)
	return func(ctx context.Context) (server.Response, error) {
		reply, err := parked.Await(ctx)
		switch {
		case errors.Is(err, coordinator.ErrClosing):
			reply.Sync = &group.SyncResult{Err: kerr.CoordinatorNotAvailable}
		case err != nil:
			return server.Response{}, err
		}
		resp := r.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ErrorCode, resp.MemberAssignment = code(reply.Sync.Err), reply.Sync.Assignment
		if reply.Sync.Err == nil {
			resp.ProtocolType, resp.Protocol = &reply.Sync.ProtocolType, &reply.Sync.Protocol
		}
		return server.Response{Body: resp}, nil
	}
}
