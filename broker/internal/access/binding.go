package access

import (
	"cmp"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ClusterName is the name of the one resource of type CLUSTER.
const ClusterName = "kafka-cluster"

// wildcard stands for every name, principal "User:*" for every principal, and host "*" for every host.
const (
	wildcard          = "*"
	wildcardPrincipal = "User:*"
)

// Binding is one access control entry.
type Binding struct {
	Resource   kmsg.ACLResourceType
	Name       string
	Pattern    kmsg.ACLResourcePatternType // literal or prefixed
	Principal  string
	Host       string
	Operation  kmsg.ACLOperation
	Permission kmsg.ACLPermissionType
}

func compareBindings(a, b Binding) int {
	return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Pattern, b.Pattern),
		cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Operation, b.Operation),
		cmp.Compare(a.Permission, b.Permission))
}

// Fault returns why b cannot be an entry, or "".
func (b Binding) Fault() string {
	switch {
	case b.Resource < kmsg.ACLResourceTypeTopic || b.Resource > kmsg.ACLResourceTypeUser:
		return "invalid resource type"
	case b.Pattern != kmsg.ACLResourcePatternTypeLiteral && b.Pattern != kmsg.ACLResourcePatternTypePrefixed:
		return "invalid pattern type: want literal or prefixed"
	case b.Name == "":
		return "the resource name is empty"
	case b.Resource == kmsg.ACLResourceTypeCluster && b.Name != ClusterName:
		return "the only valid name for the CLUSTER resource is " + ClusterName
	case b.Operation < kmsg.ACLOperationAll || b.Operation > kmsg.ACLOperationDescribeTokens:
		return "invalid operation"
	case b.Permission != kmsg.ACLPermissionTypeAllow && b.Permission != kmsg.ACLPermissionTypeDeny:
		return "invalid permission type"
	case b.Host == "":
		return "the host is empty"
	}
	kind, _, ok := strings.Cut(b.Principal, ":")
	if !ok || kind == "" {
		return "could not parse the principal: want TYPE:NAME"
	}
	return ""
}

// Filter chooses bindings. Any and nil stand for all.
type Filter struct {
	Resource   kmsg.ACLResourceType
	Name       *string
	Pattern    kmsg.ACLResourcePatternType // also match: all that are about the name
	Principal  *string
	Host       *string
	Operation  kmsg.ACLOperation
	Permission kmsg.ACLPermissionType
}

// Fault returns why f cannot be a filter, or "".
func (f Filter) Fault() string {
	switch {
	case f.Resource < kmsg.ACLResourceTypeAny || f.Resource > kmsg.ACLResourceTypeUser:
		return "the filter has an unknown resource type"
	case f.Pattern < kmsg.ACLResourcePatternTypeAny || f.Pattern > kmsg.ACLResourcePatternTypePrefixed:
		return "the filter has an unknown pattern type"
	case f.Operation < kmsg.ACLOperationAny || f.Operation > kmsg.ACLOperationDescribeTokens:
		return "the filter has an unknown operation"
	case f.Permission < kmsg.ACLPermissionTypeAny || f.Permission > kmsg.ACLPermissionTypeAllow:
		return "the filter has an unknown permission type"
	}
	return ""
}

// Matches reports whether f chooses b.
func (f Filter) Matches(b Binding) bool {
	return (f.Resource == kmsg.ACLResourceTypeAny || f.Resource == b.Resource) && f.matchesName(b) &&
		(f.Principal == nil || *f.Principal == b.Principal) && (f.Host == nil || *f.Host == b.Host) &&
		(f.Operation == kmsg.ACLOperationAny || f.Operation == b.Operation) &&
		(f.Permission == kmsg.ACLPermissionTypeAny || f.Permission == b.Permission)
}

func (f Filter) matchesName(b Binding) bool {
	switch f.Pattern {
	case kmsg.ACLResourcePatternTypeAny:
		return f.Name == nil || *f.Name == b.Name
	case kmsg.ACLResourcePatternTypeMatch:
		return f.Name == nil || b.covers(*f.Name)
	}
	return f.Pattern == b.Pattern && (f.Name == nil || *f.Name == b.Name)
}

// covers reports whether b is about the resource of a name.
func (b Binding) covers(name string) bool {
	if b.Pattern == kmsg.ACLResourcePatternTypePrefixed {
		return strings.HasPrefix(name, b.Name)
	}
	return b.Name == name || b.Name == wildcard
}
