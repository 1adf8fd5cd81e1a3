package group

import (
	"encoding/binary"
	"hash/fnv"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// maxPattern bounds a regular expression, in bytes.
const maxPattern = 4096

// ConsumerHeartbeatRequest is ConsumerGroupHeartbeat. What is nil has not changed since the member's last one.
type ConsumerHeartbeatRequest struct {
	Group, MemberID  string
	MemberEpoch      int32
	InstanceID, Rack *string
	RebalanceTimeout *time.Duration
	Names            []string
	Pattern          *string
	Assignor         *string
	// Owned are the partitions that the member has; OwnedKnown says that it tells.
	Owned      []Partition
	OwnedKnown bool
	// NewMemberID is the id that the member gets if it has none (version 0). It must be unique. Empty: members choose their own.
	NewMemberID    string
	ClientID, Host string
	// May reports whether the client may know of a topic. It is asked for those that the pattern matches.
	May func(topic string) bool
}

// ConsumerHeartbeatResult answers ConsumerGroupHeartbeat.
type ConsumerHeartbeatResult struct {
	Err         *kerr.Error
	Message     string // beside Err
	MemberID    string
	MemberEpoch int32
	Interval    time.Duration
	// Assigned is what the member may have, if Tell is set; else nothing has changed.
	Assigned []Partition
	Tell     bool
}

// fault is an error with what to tell the client.
type fault struct {
	err  *kerr.Error
	text string
}

// ConsumerHeartbeat handles ConsumerGroupHeartbeat. Everything happens in it: a member joins, gives up and gets partitions, and leaves by it.
func (c *Coordinator) ConsumerHeartbeat(now time.Time, topics Topics, r ConsumerHeartbeatRequest) (Effects, ConsumerHeartbeatResult) {
	var e Effects
	pattern, f := r.check()
	if f == nil && r.MemberEpoch < 0 {
		var res ConsumerHeartbeatResult
		if res, f = c.leaveConsumer(now, topics, r, &e); f == nil {
			return e, res
		}
	}
	if f != nil {
		return e, ConsumerHeartbeatResult{Err: f.err, Message: f.text}
	}
	res, f := c.consumerHeartbeat(now, topics, r, pattern, &e)
	if f != nil {
		return Effects{}, ConsumerHeartbeatResult{Err: f.err, Message: f.text}
	}
	return e, res
}

// check checks all that does not depend on the group, and compiles the pattern, which has to match whole names.
func (r *ConsumerHeartbeatRequest) check() (pattern *regexp.Regexp, f *fault) {
	invalid := func(text string) (*regexp.Regexp, *fault) { return nil, &fault{kerr.InvalidRequest, text} }
	blank := func(s *string) bool { return s != nil && *s == "" }
	switch {
	case r.Group == "":
		return invalid("GroupId can't be empty.")
	case blank(r.InstanceID):
		return invalid("InstanceId can't be empty.")
	case blank(r.Rack):
		return invalid("RackId can't be empty.")
	case r.MemberID == "" && (r.MemberEpoch != joinEpoch || r.NewMemberID == ""):
		return invalid("MemberId can't be empty.")
	case r.MemberEpoch < leaveStaticEpoch:
		return invalid("MemberEpoch is invalid.")
	case r.MemberEpoch == leaveStaticEpoch && r.InstanceID == nil:
		return invalid("InstanceId can't be null.")
	case r.MemberEpoch != joinEpoch:
	case r.RebalanceTimeout == nil:
		return invalid("RebalanceTimeoutMs must be provided in first request.")
	case !r.OwnedKnown || len(r.Owned) > 0:
		return invalid("TopicPartitions must be empty when (re-)joining.")
	case r.Names == nil && r.Pattern == nil:
		return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	}
	if r.Assignor != nil && *r.Assignor != assignorUniform && *r.Assignor != assignorRange {
		return nil, &fault{kerr.UnsupportedAssignor, "ServerAssignor " + *r.Assignor + " is not supported. Supported assignors: uniform, range."}
	}
	if r.Pattern == nil || *r.Pattern == "" {
		return nil, nil
	}
	if len(*r.Pattern) > maxPattern {
		return nil, &fault{kerr.InvalidRegularExpression, "SubscribedTopicRegex is too long."}
	}
	pattern, err := compilePattern(*r.Pattern)
	if err == nil {
		_, err = regexp.Compile(*r.Pattern) // by itself too: it may close a bracket that is not its own
	}
	if err != nil {
		return nil, &fault{kerr.InvalidRegularExpression, "SubscribedTopicRegex is not a valid regular expression: " + err.Error()}
	}
	return pattern, nil
}

func compilePattern(s string) (*regexp.Regexp, error) { return regexp.Compile("^(?:" + s + ")$") }

func (c *Coordinator) consumerHeartbeat(now time.Time, topics Topics, r ConsumerHeartbeatRequest, pattern *regexp.Regexp, e *Effects) (ConsumerHeartbeatResult, *fault) {
	join := r.MemberEpoch == joinEpoch
	if r.MemberID == "" {
		r.MemberID = r.NewMemberID
	}
	g, k, f := c.consumerGroup(r.Group, topics, join)
	if f != nil {
		return ConsumerHeartbeatResult{}, f
	}
	m, replaced, f := k.sender(&r, join)
	if f != nil {
		return ConsumerHeartbeatResult{}, f
	}
	defer c.arm(g)
	if g.consumer != k {
		g.upgrade(now, k, e)
	}
	raise := g.enter(m, replaced, e)
	raise = m.update(&r, pattern, topics) || raise
	before := m.assigned
	m.deadline = now.Add(c.config.Session)
	g.settle(now, topics, m, settling{raise: raise, retarget: replaced != nil, owned: r.Owned, known: r.OwnedKnown}, e)
	full := join || r.RebalanceTimeout != nil && (r.Names != nil || r.Pattern != nil) && r.OwnedKnown
	return ConsumerHeartbeatResult{
		MemberID: m.id, MemberEpoch: m.epoch, Interval: c.config.Heartbeat,
		Assigned: m.assigned, Tell: full || !slices.Equal(before, m.assigned),
	}, nil
}

// enter makes m, which sender has returned, a member, and reports whether that takes a new target.
func (g *group) enter(m, replaced *consumerMember, e *Effects) (raise bool) {
	k := g.consumer
	switch {
	case replaced != nil:
		raise = m.id != replaced.id && k.members[m.id] != nil // what it had under its own name is for all
		k.replace(replaced, m)
		if m.id != replaced.id { // else its own record would, replayed, take it out (G1)
			e.Records = append(e.Records, encodeConsumerGone(g.name, replaced.id))
		}
	case k.members[m.id] != m:
		k.add(m)
		raise = true
	}
	return raise
}

// settling is what settle has to know of a request.
type settling struct {
	raise    bool // the group needs another target
	retarget bool // the target is to be recorded in any case
	owned    []Partition
	known    bool // the member has told what it has
}

// settle raises the group's epoch if its members or topics have changed, makes the target of that epoch, takes m as far towards it as it can
// get, and records all that.
func (g *group) settle(now time.Time, topics Topics, m *consumerMember, s settling, e *Effects) {
	k := g.consumer
	k.raise(s.raise, topics, g.name, e)
	retarget := k.epoch > k.targetEpoch
	if retarget {
		k.assign(topics)
	}
	if s.raise && m.state == unrevoked {
		m.giveUpUnread(topics)
	}
	if m.reconcile(k, s.owned, s.known) {
		m.dirty = true
		m.revokeDead = time.Time{}
		if m.state == unrevoked && m.classic == nil {
			m.revokeDead = now.Add(m.rebalance)
		}
	}
	if m.dirty {
		m.dirty = false
		e.Records = append(e.Records, m.record(g.name))
	}
	if retarget || s.retarget { // after the members that it is for
		e.Records = append(e.Records, k.targetRecord(g.name))
	}
}

// raise raises the epoch if it has to be, or if the topics are others than before.
func (k *consumerGroup) raise(must bool, topics Topics, name string, e *Effects) {
	if !must && k.checked == topics.Version() {
		return
	}
	digest := k.digest(topics)
	if must || digest != k.topics {
		k.epoch, k.topics = k.epoch+1, digest
		e.Records = append(e.Records, k.record(name))
	}
	k.checked = topics.Version()
}

// consumerGroup returns the KIP-848 group of a name. What a join makes, anew or of a classic group, takes the place of that in upgrade.
func (c *Coordinator) consumerGroup(name string, topics Topics, join bool) (g *group, k *consumerGroup, f *fault) {
	g = c.groups[name]
	switch {
	case g == nil && !join:
		return nil, nil, &fault{kerr.GroupIDNotFound, "Consumer group " + name + " not found."}
	case g == nil:
		g, err := c.group(name, true)
		if err != nil {
			return nil, nil, &fault{err, "there are too many groups"}
		}
		return g, newConsumerGroup(), nil
	case g.consumer != nil:
		return g, g.consumer, nil
	case !join:
		return nil, nil, &fault{kerr.GroupIDNotFound, "Group " + name + " is not a consumer group."}
	case g.state == Empty:
		return g, newConsumerGroup(), nil
	case !c.config.Migration.upgrades():
		return nil, nil, notUpgraded(name, "the broker does not let it.")
	}
	k, f = g.upgraded(topics)
	return g, k, f
}

// sender returns the member that a heartbeat is from: one that is there, or one that is not in the group yet, in place of that of its id
// if there is any. replaced is the static member whose place it takes.
func (k *consumerGroup) sender(r *ConsumerHeartbeatRequest, join bool) (m, replaced *consumerMember, f *fault) {
	m = k.members[r.MemberID]
	if r.InstanceID != nil {
		id, ok := k.instances[*r.InstanceID]
		switch {
		case join && !ok:
		case join:
			replaced = k.members[id]
			if replaced.epoch != leaveStaticEpoch && replaced.classic == nil {
				return nil, nil, &fault{kerr.UnreleasedInstanceID, "the instance id is owned by member " + id}
			}
			m = replaced.successor(r.MemberID)
			return m, replaced, nil
		case !ok:
			return nil, nil, &fault{kerr.UnknownMemberID, "Instance id " + *r.InstanceID + " is unknown."}
		case id != r.MemberID:
			return nil, nil, &fault{kerr.FencedInstanceID, "the instance id is owned by member " + id}
		}
	}
	switch {
	case m == nil && !join:
		return nil, nil, &fault{kerr.UnknownMemberID, "Member " + r.MemberID + " is not a member of group " + r.Group + "."}
	case k.full(r.MemberID, ""):
		return nil, nil, &fault{kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity."}
	case m == nil:
		m = &consumerMember{id: r.MemberID, dirty: true}
		if r.InstanceID != nil {
			m.instance = *r.InstanceID
		}
		return m, nil, nil
	case join && r.InstanceID != nil && *r.InstanceID != m.instance: // it has become a static member, or another one
		next := *m
		next.instance, next.dirty = *r.InstanceID, true
		return &next, nil, nil
	case join: // its client has lost what it had, or the answer to its join: it is told all anew
		return m, nil, nil
	case r.MemberEpoch > m.epoch,
		r.MemberEpoch < m.epoch && (r.MemberEpoch != m.previous || !r.OwnedKnown || !subset(r.Owned, m.assigned)):
		return nil, nil, &fault{kerr.FencedMemberEpoch, "The member must abandon all its partitions and rejoin."}
	}
	return m, nil, nil // perhaps in its previous epoch: the answer with the new one was lost
}

// successor is a static member that was restarted, in the place of its past self.
func (m *consumerMember) successor(id string) *consumerMember {
	next := *m
	next.id, next.epoch, next.previous, next.state, next.revoking, next.dirty = id, 0, 0, reconciled, nil, true
	next.revokeDead = time.Time{}
	return &next
}

// replace puts a static member in the place of its past self.
func (k *consumerGroup) replace(old, m *consumerMember) {
	target := k.target[old.id]
	k.remove(old)
	k.add(m)
	k.target[m.id] = target
}

// update takes what a heartbeat says of the member, and reports whether what it asks for is something else now.
func (m *consumerMember) update(r *ConsumerHeartbeatRequest, pattern *regexp.Regexp, topics Topics) (resubscribed bool) {
	set := func(to *string, v string) {
		m.dirty = m.dirty || *to != v
		*to = v
	}
	set(&m.clientID, r.ClientID)
	set(&m.host, r.Host)
	if r.Rack != nil {
		set(&m.rack, *r.Rack)
	}
	if r.Assignor != nil && *r.Assignor != m.assignor {
		m.assignor, resubscribed = *r.Assignor, true // it may be another target that the group needs
	}
	if r.RebalanceTimeout != nil && *r.RebalanceTimeout != m.rebalance {
		m.rebalance, m.dirty = *r.RebalanceTimeout, true
	}
	if m.classic != nil {
		m.classic, m.dirty = nil, true
	}
	if r.Names != nil {
		if names := sortedSet(r.Names); !slices.Equal(names, m.names) {
			m.names, resubscribed = names, true
		}
	}
	if r.Pattern != nil && *r.Pattern != m.pattern {
		m.pattern, m.compiled, m.checked, resubscribed = *r.Pattern, pattern, 0, true
	}
	if m.match(topics, r.May) {
		resubscribed = true
	}
	m.dirty = m.dirty || resubscribed
	return resubscribed
}

// sortedSet returns names sorted, each once.
func sortedSet(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

// match finds the topics that the pattern stands for, if there may be others than before, and reports whether there are.
func (m *consumerMember) match(topics Topics, may func(string) bool) (changed bool) {
	if m.checked == topics.Version() {
		return false
	}
	m.checked = topics.Version()
	var matched []string
	if m.pattern != "" {
		if m.compiled == nil {
			re, err := compilePattern(m.pattern)
			if err != nil { // it was checked before it was recorded
				return false
			}
			m.compiled = re
		}
		matched = topics.Matching(func(name string) bool { return m.compiled.MatchString(name) && may(name) })
	}
	changed = !slices.Equal(matched, m.matched)
	m.matched = matched
	return changed
}

// digest tells the topics that the group reads, with their partitions, from others.
func (k *consumerGroup) digest(topics Topics) uint64 {
	var names []string
	for _, m := range k.members {
		names = append(names, m.names...)
		names = append(names, m.matched...)
	}
	slices.Sort(names)
	h := fnv.New64a()
	var b []byte
	for _, name := range slices.Compact(names) {
		if id, partitions, ok := topics.Topic(name); ok {
			b = binary.BigEndian.AppendUint32(append(b[:0], id[:]...), uint32(partitions))
			_, _ = h.Write(b) // never fails
		}
	}
	return h.Sum64()
}
