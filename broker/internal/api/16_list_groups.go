package api

// ListGroups, key 16, versions 0-5.
//
//	1  throttle time
//	3  flexible
//	4  states (KIP-518)
//	5  types (KIP-848)

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) listGroups(req *server.Request, r *kmsg.ListGroupsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.ListGroupsResponse)
	all, lsn := a.coord.ListGroups(r.StatesFilter, r.TypesFilter)
	everything := a.mayCluster(req, opDescribe)
	for _, d := range all {
		if !everything && !a.may(req, opDescribe, onGroup, d.Name) {
			continue
		}
		out := kmsg.NewListGroupsResponseGroup()
		out.Group, out.ProtocolType, out.GroupState, out.GroupType = d.Name, d.ProtocolType, d.State, d.Type
		resp.Groups = append(resp.Groups, out)
	}
	return a.durable(lsn, nil, resp)
}
