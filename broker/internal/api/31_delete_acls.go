package api

// DeleteAcls, key 31, versions 1-3.
//
//	1  prefixed patterns (KIP-290)
//	2  flexible
//	3  users as resources
//
// Each filter is answered with what it matched. All that is deleted goes together, and is no longer in force when it is answered.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) deleteACLs(req *server.Request, r *kmsg.DeleteACLsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DeleteACLsResponse)
	resp.Results = make([]kmsg.DeleteACLsResponseResult, len(r.Filters))
	if kerror, why := a.aclsDenied(req, opAlter); kerror != nil {
		for i := range resp.Results {
			resp.Results[i].ErrorCode, resp.Results[i].ErrorMessage = kerror.Code, why
		}
		return server.Now(resp)
	}
	lsn, err := a.coord.ChangeAccess(func(s *access.State) (changes [][]byte) {
		gone := map[access.Binding]bool{}
		for i := range r.Filters {
			rf, out := &r.Filters[i], &resp.Results[i]
			f := aclFilter(rf.ResourceType, rf.ResourceName, rf.ResourcePatternType, rf.Principal, rf.Host, rf.Operation, rf.PermissionType)
			if why := f.Fault(); why != "" {
				out.ErrorCode, out.ErrorMessage = kerr.InvalidRequest.Code, &why
				continue
			}
			for _, b := range s.Matching(f) {
				m := kmsg.NewDeleteACLsResponseResultMatchingACL()
				m.ResourceType, m.ResourceName, m.ResourcePatternType = b.Resource, b.Name, b.Pattern
				m.Principal, m.Host, m.Operation, m.PermissionType = b.Principal, b.Host, b.Operation, b.Permission
				out.MatchingACLs = append(out.MatchingACLs, m)
				if !gone[b] { // filters may overlap
					gone[b] = true
					changes = append(changes, s.Remove(b))
				}
			}
		}
		return changes
	})
	return a.durable(lsn, err, resp)
}
