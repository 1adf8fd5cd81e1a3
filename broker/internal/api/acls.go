package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/server"
)

// aclsDenied returns why a client cannot have to do with access control entries, and a message, or nil.
func (a *API) aclsDenied(req *server.Request, op kmsg.ACLOperation) (*kerr.Error, *string) {
	if !a.cfg.Authorize {
		return kerr.SecurityDisabled, pointer("access control is not switched on")
	}
	if !a.mayCluster(req, op) {
		return kerr.ClusterAuthorizationFailed, pointer(kerr.ClusterAuthorizationFailed.Description)
	}
	return nil, nil
}

// aclFilter returns the filter of a request whose pattern type is of version 1 and later.
func aclFilter(kind kmsg.ACLResourceType, name *string, pattern kmsg.ACLResourcePatternType, principal, host *string,
	op kmsg.ACLOperation, permission kmsg.ACLPermissionType) access.Filter {
	return access.Filter{Resource: kind, Name: name, Pattern: pattern, Principal: principal, Host: host, Operation: op, Permission: permission}
}
