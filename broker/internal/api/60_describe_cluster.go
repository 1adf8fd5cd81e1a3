package api

// DescribeCluster, key 60, versions 0-2.
//
//	1  type of endpoint: brokers (1); controllers (2) are not told of by a broker (KIP-919)
//	2  fenced brokers

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/server"
)

// The types of endpoints.
const (
	brokerEndpoint     = 1
	controllerEndpoint = 2
)

func (a *API) describeCluster(req *server.Request, r *kmsg.DescribeClusterRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DescribeClusterResponse)
	if r.Version >= 1 && r.EndpointType != brokerEndpoint {
		kerror := kerr.UnsupportedEndpointType
		if r.EndpointType == controllerEndpoint {
			kerror = kerr.MismatchedEndpointType
		}
		resp.ErrorCode, resp.ErrorMessage = kerror.Code, pointer(kerror.Description)
		return server.Now(resp)
	}
	if r.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = a.operations(req, onCluster, access.ClusterName)
	}
	resp.ClusterID, resp.ControllerID = a.log.ClusterID(), nodeID
	broker := kmsg.NewDescribeClusterResponseBroker()
	broker.NodeID, broker.Host, broker.Port = nodeID, req.Peer.AdvertisedHost, req.Peer.AdvertisedPort
	if a.cfg.Rack != "" {
		broker.Rack = &a.cfg.Rack
	}
	resp.Brokers = append(resp.Brokers, broker)
	return server.Now(resp)
}
