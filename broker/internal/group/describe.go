package group

import (
	"strings"
)

// The types of groups, by Kafka's names.
const (
	Classic  = "classic"
	Consumer = "consumer"
)

// Description is what an administrator sees of a group.
type Description struct {
	Name         string
	State        string // Kafka's name
	Type         string // Classic or Consumer
	ProtocolType string // empty if it never had a member
	Protocol     string // only while the group is Stable
	Members      []MemberDescription
}

// MemberDescription is a member. Metadata and Assignment are opaque; Metadata is there only while the group is Stable.
type MemberDescription struct {
	ID, Instance, ClientID, Host string
	Metadata, Assignment         []byte
}

// Describe returns the classic group of that name; ok is false if there is none.
func (c *Coordinator) Describe(name string) (d Description, ok bool) {
	g := c.groups[name]
	if g == nil || g.consumer != nil {
		return Description{}, false
	}
	d = Description{Name: g.name, State: g.state.String(), Type: Classic, ProtocolType: g.protocolType}
	stable := g.state == Stable
	if stable {
		d.Protocol = g.protocol
	}
	for _, m := range g.ordered() {
		x := MemberDescription{ID: m.id, Instance: m.instance, ClientID: m.clientID, Host: m.host, Assignment: m.assignment}
		if stable {
			x.Metadata = m.subscription(g.protocol)
		}
		d.Members = append(d.Members, x)
	}
	return d, true
}

// List returns the groups in one of the states and of one of the types, by name, without their members. None ask for all; case does not matter.
func (c *Coordinator) List(states, types []string) (all []Description) {
	chosenStates, chosenTypes := foldedSet(states), foldedSet(types)
	chosen := func(of map[string]bool, name string) bool { return len(of) == 0 || of[strings.ToLower(name)] }
	for _, name := range sortedKeys(c.groups) {
		g := c.groups[name]
		d := Description{Name: g.name, State: g.state.String(), Type: Classic, ProtocolType: g.protocolType}
		if k := g.consumer; k != nil {
			d.State, d.Type, d.ProtocolType = k.stateName(), Consumer, consumerProtocol
		}
		if chosen(chosenStates, d.State) && chosen(chosenTypes, d.Type) {
			all = append(all, d)
		}
	}
	return all
}

// foldedSet returns the elements of a filter, which may be as long as a request, in lower case.
func foldedSet(elements []string) map[string]bool {
	m := make(map[string]bool, len(elements))
	for _, e := range elements {
		m[strings.ToLower(e)] = true
	}
	return m
}

// ConsumerDescription is what an administrator sees of a KIP-848 group.
type ConsumerDescription struct {
	Name, State        string
	Epoch, TargetEpoch int32
	Assignor           string
	Members            []ConsumerMemberDescription
}

// ConsumerMemberDescription is a member. Its partitions must not be changed.
type ConsumerMemberDescription struct {
	ID, Instance, Rack, ClientID, Host string
	Type                               string // the protocol that it speaks: Classic or Consumer
	Epoch                              int32
	Names                              []string
	Pattern                            string
	Assigned                           []Partition // also what it has still to give up
	Target                             []Partition
}

// DescribeConsumer returns the KIP-848 group of that name; ok is false if there is none.
func (c *Coordinator) DescribeConsumer(name string) (d ConsumerDescription, ok bool) {
	g := c.groups[name]
	if g == nil || g.consumer == nil {
		return ConsumerDescription{}, false
	}
	k := g.consumer
	d = ConsumerDescription{Name: name, State: k.stateName(), Epoch: k.epoch, TargetEpoch: k.targetEpoch, Assignor: k.preferred()}
	for _, id := range sortedKeys(k.members) {
		m := k.members[id]
		d.Members = append(d.Members, ConsumerMemberDescription{
			ID: m.id, Instance: m.instance, Rack: m.rack, ClientID: m.clientID, Host: m.host, Type: m.protocolName(), Epoch: m.epoch,
			Names: m.names, Pattern: m.pattern, Assigned: m.has(), Target: k.target[id],
		})
	}
	return d, true
}
