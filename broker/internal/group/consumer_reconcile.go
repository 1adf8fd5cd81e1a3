package group

import "slices"

// assign makes the target of the group's epoch.
func (k *consumerGroup) assign(topics Topics) {
	counts := make(map[TopicID]int32)
	members := make([]subscriber, 0, len(k.members))
	for _, id := range sortedKeys(k.members) {
		m := k.members[id]
		s := subscriber{id: id, instance: m.instance, prior: k.target[id]}
		for _, name := range m.reads() {
			if topic, partitions, ok := topics.Topic(name); ok {
				counts[topic] = partitions
				s.topics = append(s.topics, topic)
			}
		}
		slices.SortFunc(s.topics, compareTopics)
		members = append(members, s)
	}
	if k.preferred() == assignorRange {
		k.target = assignRange(members, counts)
	} else {
		k.target = assignUniform(members, counts)
	}
	k.targetEpoch = k.epoch
}

// preferred returns the assignor that most members ask for, of two alike the first by name; uniform if nobody asks.
func (k *consumerGroup) preferred() string {
	votes := make(map[string]int)
	for _, m := range k.members {
		if m.assignor != "" {
			votes[m.assignor]++
		}
	}
	best := assignorUniform
	for _, name := range sortedKeys(votes) {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// reconcile takes a member as far towards its target as the partitions of others let it, and reports whether that changed anything:
//
//	             target is new,                    it has given them up
//	reconciled ──────────────────► unrevoked ──────────────────────────► reconciled, or
//	             takes some away                                          unreleased ──► reconciled
//	                                                                         others have given up what it waits for
//
// A member gets no partition in an epoch before it has given up what that epoch takes away, and none that another still has. See
// Kafka's CurrentAssignmentBuilder.
func (m *consumerMember) reconcile(k *consumerGroup, owned []Partition, known bool) (changed bool) {
	if m.state == reconciled && m.epoch == k.targetEpoch || m.state == unrevoked && (!known || intersects(owned, m.revoking)) {
		return false
	}
	return m.advance(k, owned, known)
}

// giveUpUnread has a member give up also what it does not subscribe to any more, while it has something to give up: it is not told to read that
// until then.
func (m *consumerMember) giveUpUnread(topics Topics) {
	reads := make(map[TopicID]struct{})
	for _, name := range m.reads() {
		if id, _, ok := topics.Topic(name); ok {
			reads[id] = struct{}{}
		}
	}
	var kept []Partition
	for _, p := range m.assigned {
		if _, ok := reads[p.Topic]; ok {
			kept = append(kept, p)
		} else {
			m.revoking = append(m.revoking, p)
		}
	}
	if len(kept) < len(m.assigned) {
		slices.SortFunc(m.revoking, comparePartitions)
		m.assigned, m.previous, m.dirty = kept, m.epoch, true
	}
}

// advance computes the member's next assignment. It stays in its epoch while it has something to give up.
func (m *consumerMember) advance(k *consumerGroup, owned []Partition, known bool) (changed bool) {
	next := consumerMember{state: reconciled}
	var missing []Partition
	next.assigned, next.revoking = split(m.assigned, k.target[m.id])
	_, missing = split(k.target[m.id], next.assigned)
	taken := k.taken(m.id, len(missing))
	available := slices.DeleteFunc(missing, func(p Partition) bool {
		_, ok := taken[p]
		if ok {
			next.state = unreleased
		}
		return ok
	})
	next.epoch = k.targetEpoch
	if len(next.revoking) > 0 && (!known || intersects(owned, next.revoking)) {
		next.state, next.epoch = unrevoked, m.epoch
	} else {
		next.revoking = nil
		next.assigned = append(next.assigned, available...)
		slices.SortFunc(next.assigned, comparePartitions)
	}
	if next.state == m.state && next.epoch == m.epoch && slices.Equal(next.assigned, m.assigned) && slices.Equal(next.revoking, m.revoking) {
		return false
	}
	m.previous = m.epoch
	m.state, m.epoch, m.assigned, m.revoking = next.state, next.epoch, next.assigned, next.revoking
	m.noteEpochs()
	return true
}

// noteEpochs notes in which epoch the member was given what it has now and had not before.
func (m *consumerMember) noteEpochs() {
	since := make(map[Partition]int32, len(m.assigned)+len(m.revoking))
	for _, ps := range [][]Partition{m.assigned, m.revoking} {
		for _, p := range ps {
			since[p] = m.epoch
			if at, ok := m.since[p]; ok {
				since[p] = at
			}
		}
	}
	m.since = since
}

// taken returns what other members have, or are still to give up. Nothing if nothing is wanted.
func (k *consumerGroup) taken(except string, wanted int) map[Partition]struct{} {
	if wanted == 0 {
		return nil
	}
	all := make(map[Partition]struct{})
	for _, m := range k.members {
		if m.id == except {
			continue
		}
		for _, p := range m.assigned {
			all[p] = struct{}{}
		}
		for _, p := range m.revoking {
			all[p] = struct{}{}
		}
	}
	return all
}

// The sets of partitions here are sorted, but for those that a client sends.

// split returns what of a is in b, and what is not.
func split(a, b []Partition) (in, out []Partition) {
	for _, p := range a {
		if _, ok := slices.BinarySearchFunc(b, p, comparePartitions); ok {
			in = append(in, p)
		} else {
			out = append(out, p)
		}
	}
	return in, out
}

func intersects(sent, b []Partition) bool {
	in, _ := split(sent, b)
	return len(in) > 0
}

func subset(sent, b []Partition) bool {
	_, out := split(sent, b)
	return len(out) == 0
}
