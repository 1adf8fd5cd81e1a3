package api

// CreateAcls, key 30, versions 1-3.
//
//	1  prefixed patterns (KIP-290)
//	2  flexible
//	3  users as resources
//
// What is there already is no error. What is created is in force when it is answered. The entries of a request that have no fault happen
// together.

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) createACLs(req *server.Request, r *kmsg.CreateACLsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.CreateACLsResponse)
	resp.Results = make([]kmsg.CreateACLsResponseResult, len(r.Creations))
	fail := func(i int, kerror *kerr.Error, why *string) {
		resp.Results[i].ErrorCode, resp.Results[i].ErrorMessage = kerror.Code, why
	}
	if kerror, why := a.aclsDenied(req, opAlter); kerror != nil {
		for i := range resp.Results {
			fail(i, kerror, why)
		}
		return server.Now(resp)
	}
	lsn, err := a.coord.ChangeAccess(func(s *access.State) (changes [][]byte) {
		draft := s.Draft()
		for i := range r.Creations {
			c := &r.Creations[i]
			b := access.Binding{Resource: c.ResourceType, Name: c.ResourceName, Pattern: c.ResourcePatternType, Principal: c.Principal,
				Host: c.Host, Operation: c.Operation, Permission: c.PermissionType}
			if why := b.Fault(); why != "" {
				fail(i, kerr.InvalidRequest, &why)
				continue
			}
			change, err := draft.Add(b)
			if errors.Is(err, access.ErrTooMany) {
				fail(i, kerr.PolicyViolation, pointer(err.Error()))
			}
			if change != nil {
				changes = append(changes, change)
			}
		}
		return changes
	})
	return a.durable(lsn, err, resp)
}
