package api

// ListPartitionReassignments, key 46, versions 0-0.
//
// The answer is always empty: there is one broker. kafka-topics --describe asks for it.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) listPartitionReassignments(req *server.Request, r *kmsg.ListPartitionReassignmentsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	if !a.mayCluster(req, opDescribe) {
		resp.ErrorCode, resp.ErrorMessage = kerr.ClusterAuthorizationFailed.Code, pointer(kerr.ClusterAuthorizationFailed.Description)
	}
	return server.Now(resp)
}
