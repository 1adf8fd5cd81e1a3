package access

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Rules are the bindings at a moment, made for asking (A2). The zero value allows nothing.
type Rules struct {
	exact    map[resource][]Binding // literal names, "*" among them
	prefixed map[resource][]Binding
	lengths  map[kmsg.ACLResourceType][]int // of the prefixes, ascending
	kinds    map[kmsg.ACLResourceType][]Binding
}

type resource struct {
	kind kmsg.ACLResourceType
	name string
}

func newRules(bindings map[Binding]struct{}) *Rules {
	r := &Rules{
		exact: map[resource][]Binding{}, prefixed: map[resource][]Binding{},
		lengths: map[kmsg.ACLResourceType][]int{}, kinds: map[kmsg.ACLResourceType][]Binding{},
	}
	for b := range bindings {
		at := resource{b.Resource, b.Name}
		r.kinds[b.Resource] = append(r.kinds[b.Resource], b)
		if b.Pattern == kmsg.ACLResourcePatternTypeLiteral {
			r.exact[at] = append(r.exact[at], b)
			continue
		}
		r.prefixed[at] = append(r.prefixed[at], b)
		if n, found := slices.BinarySearch(r.lengths[b.Resource], len(b.Name)); !found {
			r.lengths[b.Resource] = slices.Insert(r.lengths[b.Resource], n, len(b.Name))
		}
	}
	return r
}

// Question is what somebody wants to do.
type Question struct {
	Principal string
	Host      string // an address
	Operation kmsg.ACLOperation
	Resource  kmsg.ACLResourceType
	Name      string
}

// Verdict is what the bindings say.
type Verdict uint8

const (
	// Unknown: no binding is about the resource.
	Unknown Verdict = iota
	// Denied: a binding denies it, or there are some about the resource and none allows it.
	Denied
	// Allowed: a binding allows it and none denies it.
	Allowed
)

// Ask answers a question (A1).
func (r *Rules) Ask(q Question) Verdict {
	v := r.judge(Unknown, r.exact[resource{q.Resource, q.Name}], &q)
	if q.Name != wildcard && v != Denied {
		v = r.judge(v, r.exact[resource{q.Resource, wildcard}], &q)
	}
	about := v != Unknown || len(r.exact[resource{q.Resource, q.Name}])+len(r.exact[resource{q.Resource, wildcard}]) > 0
	for _, n := range r.lengths[q.Resource] {
		if n > len(q.Name) || v == Denied {
			break
		}
		all := r.prefixed[resource{q.Resource, q.Name[:n]}]
		about = about || len(all) > 0
		v = r.judge(v, all, &q)
	}
	if v == Unknown && about {
		return Denied
	}
	return v
}

// judge goes on from a verdict with more bindings, all about the resource.
func (r *Rules) judge(v Verdict, all []Binding, q *Question) Verdict {
	for i := range all {
		switch b := &all[i]; {
		case !b.isFor(q.Principal, q.Host):
		case b.Permission == kmsg.ACLPermissionTypeDeny:
			if b.Operation == kmsg.ACLOperationAll || b.Operation == q.Operation {
				return Denied
			}
		case b.allows(q.Operation):
			v = Allowed
		}
	}
	return v
}

func (b *Binding) isFor(principal, host string) bool {
	return (b.Principal == principal || b.Principal == wildcardPrincipal) && (b.Host == host || b.Host == wildcard)
}

// allows reports whether permission for b's operation is permission for op: whoever may read, write, delete or alter something may
// know of it. Denials do not reach as far.
func (b *Binding) allows(op kmsg.ACLOperation) bool {
	switch {
	case b.Operation == kmsg.ACLOperationAll, b.Operation == op:
		return true
	case op == kmsg.ACLOperationDescribe:
		return b.Operation == kmsg.ACLOperationRead || b.Operation == kmsg.ACLOperationWrite ||
			b.Operation == kmsg.ACLOperationDelete || b.Operation == kmsg.ACLOperationAlter
	case op == kmsg.ACLOperationDescribeConfigs:
		return b.Operation == kmsg.ACLOperationAlterConfigs
	}
	return false
}

// AskAny answers whether the operation is allowed on some resource of the type, of whatever name (KIP-679). q.Name is not looked at.
func (r *Rules) AskAny(q Question) Verdict {
	all := r.kinds[q.Resource]
	if len(all) == 0 {
		return Unknown
	}
	var denied, allowed []Binding
	for _, b := range all {
		if !b.isFor(q.Principal, q.Host) || b.Operation != kmsg.ACLOperationAll && b.Operation != q.Operation {
			continue
		}
		if b.Permission == kmsg.ACLPermissionTypeDeny {
			denied = append(denied, b)
		} else {
			allowed = append(allowed, b)
		}
	}
	for _, a := range allowed {
		if !slices.ContainsFunc(denied, func(d Binding) bool { return d.dominates(a) }) {
			return Allowed
		}
	}
	return Denied
}

// dominates reports whether a denial covers everything that a permission is about.
func (b Binding) dominates(a Binding) bool {
	if b.Pattern == kmsg.ACLResourcePatternTypePrefixed {
		return a.Name != wildcard && strings.HasPrefix(a.Name, b.Name)
	}
	return b.Name == wildcard || a.Pattern == kmsg.ACLResourcePatternTypeLiteral && a.Name == b.Name
}
