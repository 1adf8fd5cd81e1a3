package api

// DescribeUserScramCredentials, key 50, versions 0-0.
//
// No users ask for all. Of a credential there are the mechanism and the iterations, and nothing that could stand for the password.

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) describeUsers(req *server.Request, r *kmsg.DescribeUserSCRAMCredentialsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	if !a.mayCluster(req, opDescribe) {
		kerror := kerr.ClusterAuthorizationFailed
		resp.ErrorCode, resp.ErrorMessage = kerror.Code, pointer(kerror.Description)
		return server.Now(resp)
	}
	lsn := a.coord.ReadAccess(func(s *access.State) {
		names, times := []string(nil), map[string]int{}
		for _, u := range r.Users {
			if times[u.Name]++; times[u.Name] == 1 {
				names = append(names, u.Name)
			}
		}
		if len(names) == 0 {
			names = s.Users()
		}
		for _, name := range names {
			out := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
			out.User = name
			credentials := s.Credentials(name)
			switch {
			case times[name] > 1:
				out.ErrorCode = kerr.DuplicateResource.Code
				out.ErrorMessage = pointer(fmt.Sprintf("the request names user %s more than once", name))
			case len(credentials) == 0:
				out.ErrorCode = kerr.ResourceNotFound.Code
				out.ErrorMessage = pointer("there is no credential of user " + name)
			default:
				for _, c := range credentials {
					info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
					info.Mechanism, info.Iterations = int8(c.Mechanism), c.Iterations
					out.CredentialInfos = append(out.CredentialInfos, info)
				}
			}
			resp.Results = append(resp.Results, out)
		}
	})
	return a.durable(lsn, nil, resp)
}
