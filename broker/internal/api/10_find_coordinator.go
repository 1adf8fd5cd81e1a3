package api

// FindCoordinator, key 10, versions 0-6.
//
//	1  transaction coordinators (KIP-98); throttle time, error message
//	3  flexible
//	4  several keys (KIP-699)
//	5  TRANSACTION_ABORTABLE (KIP-890)
//	6  share groups (KIP-932)
//
// The answer is always this broker. Left out: share groups.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

// The types of coordinators.
const (
	groupCoordinator = 0
	txnCoordinator   = 1
)

func (a *API) findCoordinator(req *server.Request, r *kmsg.FindCoordinatorRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.FindCoordinatorResponse)
	find := func(name string) kmsg.FindCoordinatorResponseCoordinator {
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key = name
		if r.CoordinatorType != groupCoordinator && r.CoordinatorType != txnCoordinator {
			c.NodeID, c.Port, c.ErrorCode = -1, -1, kerr.InvalidRequest.Code
			c.ErrorMessage = pointer("coordinators are of groups (0) and transactions (1)")
			return c
		}
		on := onGroup
		if r.CoordinatorType == txnCoordinator {
			on = onTxn
		}
		if kerror := a.denied(req, opDescribe, on, name); kerror != nil {
			c.NodeID, c.Port, c.ErrorCode, c.ErrorMessage = -1, -1, kerror.Code, pointer(kerror.Description)
			return c
		}
		c.NodeID, c.Host, c.Port = nodeID, req.Peer.AdvertisedHost, req.Peer.AdvertisedPort
		return c
	}
	if r.Version >= 4 {
		for _, k := range r.CoordinatorKeys {
			resp.Coordinators = append(resp.Coordinators, find(k))
		}
		return server.Now(resp)
	}
	c := find(r.CoordinatorKey)
	resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = c.ErrorCode, c.ErrorMessage, c.NodeID, c.Host, c.Port
	return server.Now(resp)
}
