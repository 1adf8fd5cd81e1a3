package group

import (
	"slices"
	"strings"
)

// Description is what an administrator sees of a group.
type Description struct {
	Name         string
	State        string // Kafka's name
	ProtocolType string // empty if it never had a member
	Protocol     string // only while the group is Stable
	Members      []MemberDescription
}

// MemberDescription is a member. Metadata and Assignment, which are opaque, are there only while the group is Stable.
type MemberDescription struct {
	ID, Instance, ClientID, Host string
	Metadata, Assignment         []byte
}

// Describe returns the group of that name; ok is false if there is none.
func (c *Coordinator) Describe(name string) (d Description, ok bool) {
	g := c.groups[name]
	if g == nil {
		return Description{}, false
	}
	d = Description{Name: g.name, State: g.state.String(), ProtocolType: g.protocolType}
	stable := g.state == Stable
	if stable {
		d.Protocol = g.protocol
	}
	for _, m := range g.ordered() {
		x := MemberDescription{ID: m.id, Instance: m.instance, ClientID: m.clientID, Host: m.host}
		if stable {
			x.Metadata, x.Assignment = m.subscription(g.protocol), m.assignment
		}
		d.Members = append(d.Members, x)
	}
	return d, true
}

// List returns the groups in one of the states, by name, without their members. No states ask for all; case does not matter.
func (c *Coordinator) List(states []string) (all []Description) {
	for _, name := range sortedKeys(c.groups) {
		g := c.groups[name]
		if len(states) > 0 && !slices.ContainsFunc(states, func(s string) bool { return strings.EqualFold(s, g.state.String()) }) {
			continue
		}
		all = append(all, Description{Name: g.name, State: g.state.String(), ProtocolType: g.protocolType})
	}
	return all
}
