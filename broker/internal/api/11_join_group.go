package api

// JoinGroup, key 11, versions 0-9.
//
//	1  rebalance time-out
//	2  throttle time
//	4  MEMBER_ID_REQUIRED (KIP-394)
//	5  static members (KIP-345)
//	6  flexible
//	7  protocol type in the answer (KIP-559)
//	8  reason (KIP-800)
//	9  skip_assignment (KIP-814)
//
// Left out: the reason, which only Kafka's log shows.

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) joinGroup(req *server.Request, r *kmsg.JoinGroupRequest) server.Reply {
	if kerror := a.denied(req, opRead, onGroup, r.Group); kerror != nil {
		return server.Now(joined(r, &group.JoinResult{Err: kerror, Generation: -1, MemberID: r.MemberID}))
	}
	prefix := or(r.InstanceID, req.ClientID)
	if prefix == "" {
		prefix = "member"
	}
	jr := group.JoinRequest{
		Group: r.Group, MemberID: r.MemberID, InstanceID: or(r.InstanceID, ""), NewMemberID: prefix + "-" + rand.Text(),
		ClientID: req.ClientID, Host: req.Peer.Host, ProtocolType: r.ProtocolType,
		SessionTimeout:   time.Duration(r.SessionTimeoutMillis) * time.Millisecond,
		RebalanceTimeout: time.Duration(r.RebalanceTimeoutMillis) * time.Millisecond,
		RequireMemberID:  r.Version >= 4, SkipAssignment: r.Version >= 9,
	}
	for _, p := range r.Protocols {
		jr.Protocols = append(jr.Protocols, group.Protocol{Name: p.Name, Metadata: bytes.Clone(p.Metadata)}) // the request may be larger
	}
	parked := a.coord.Join(jr)
	return func(ctx context.Context) (server.Response, error) {
		reply, err := parked.Await(ctx)
		switch {
		case errors.Is(err, coordinator.ErrClosing):
			reply.Join = &group.JoinResult{Err: kerr.CoordinatorNotAvailable, Generation: -1, MemberID: r.MemberID}
		case err != nil:
			return server.Response{}, err
		}
		return server.Response{Body: joined(r, reply.Join)}, nil
	}
}

func joined(r *kmsg.JoinGroupRequest, res *group.JoinResult) *kmsg.JoinGroupResponse {
	resp := r.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.ErrorCode, resp.Generation = code(res.Err), res.Generation
	resp.LeaderID, resp.MemberID, resp.SkipAssignment = res.Leader, res.MemberID, res.SkipAssignment
	resp.Protocol = &res.Protocol
	if res.Err == nil {
		resp.ProtocolType = &res.ProtocolType
	} else if r.Version >= 7 {
		resp.Protocol = nil
	}
	for _, m := range res.Members {
		rm := kmsg.NewJoinGroupResponseMember()
		rm.MemberID, rm.ProtocolMetadata = m.ID, m.Metadata
		if m.InstanceID != "" {
			rm.InstanceID = &m.InstanceID
		}
		resp.Members = append(resp.Members, rm)
	}
	return resp
}
