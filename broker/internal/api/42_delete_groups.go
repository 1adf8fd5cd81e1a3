package api

// DeleteGroups, key 42, versions 0-2.
//
//	1  throttling after the answer (KIP-219)
//	2  flexible
//
// A group that has members is NON_EMPTY_GROUP. What an open transaction has staged for the group goes with it.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) deleteGroups(req *server.Request, r *kmsg.DeleteGroupsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DeleteGroupsResponse)
	var last commitlog.LSN
	for _, name := range r.Groups {
		out := kmsg.NewDeleteGroupsResponseGroup()
		out.Group = name
		if kerror := a.denied(req, opDelete, onGroup, name); kerror != nil {
			out.ErrorCode = kerror.Code
			resp.Groups = append(resp.Groups, out)
			continue
		}
		kerror, lsn, err := a.coord.DeleteGroup(name)
		if err != nil {
			kerror = cause(err)
		}
		out.ErrorCode, last = code(kerror), max(last, lsn)
		resp.Groups = append(resp.Groups, out)
	}
	return a.durable(last, nil, resp)
}
