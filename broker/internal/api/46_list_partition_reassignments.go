package api

// ListPartitionReassignments, key 46, versions 0-0.
//
// The answer is always empty: there is one broker. kafka-topics --describe asks for it.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) listPartitionReassignments(_ *server.Request, r *kmsg.ListPartitionReassignmentsRequest) server.Reply {
	return server.Now(r.ResponseKind())
}
