package api

// DescribeAcls, key 29, versions 1-3.
//
//	1  prefixed patterns (KIP-290)
//	2  flexible
//	3  users as resources
//
// Without access control the answer is SECURITY_DISABLED, here and for the two other keys.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) describeACLs(req *server.Request, r *kmsg.DescribeACLsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DescribeACLsResponse)
	if kerror, why := a.aclsDenied(req, opDescribe); kerror != nil {
		resp.ErrorCode, resp.ErrorMessage = kerror.Code, why
		return server.Now(resp)
	}
	f := aclFilter(r.ResourceType, r.ResourceName, r.ResourcePatternType, r.Principal, r.Host, r.Operation, r.PermissionType)
	if why := f.Fault(); why != "" {
		resp.ErrorCode, resp.ErrorMessage = kerr.InvalidRequest.Code, &why
		return server.Now(resp)
	}
	lsn := a.coord.ReadAccess(func(s *access.State) {
		for _, b := range s.Matching(f) { // in the order of resources
			n := len(resp.Resources)
			if n == 0 || resp.Resources[n-1].ResourceType != b.Resource || resp.Resources[n-1].ResourceName != b.Name ||
				resp.Resources[n-1].ResourcePatternType != b.Pattern {
				out := kmsg.NewDescribeACLsResponseResource()
				out.ResourceType, out.ResourceName, out.ResourcePatternType = b.Resource, b.Name, b.Pattern
				resp.Resources = append(resp.Resources, out)
				n++
			}
			acl := kmsg.NewDescribeACLsResponseResourceACL()
			acl.Principal, acl.Host, acl.Operation, acl.PermissionType = b.Principal, b.Host, b.Operation, b.Permission
			resp.Resources[n-1].ACLs = append(resp.Resources[n-1].ACLs, acl)
		}
	})
	return a.durable(lsn, nil, resp)
}
