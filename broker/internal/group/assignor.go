package group

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// The assignors, by Kafka's names.
const (
	assignorUniform = "uniform"
	assignorRange   = "range"
)

// subscriber is a member as an assignor sees it.
type subscriber struct {
	id, instance string
	topics       []TopicID   // that exist, sorted
	prior        []Partition // of the target before, sorted
}

func compareTopics(a, b TopicID) int { return bytes.Compare(a[:], b[:]) }

// assignRange gives every member of a topic a range of its partitions, members in the order of their instance ids, then of their member
// ids: so partitions of one number go to one member, where topics have as many and members read all. See Kafka's RangeAssignor.
func assignRange(members []subscriber, counts map[TopicID]int32) map[string][]Partition {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b subscriber) int {
		if a.instance == "" || b.instance == "" {
			return cmp.Or(cmp.Compare(b.instance, a.instance), cmp.Compare(a.id, b.id)) // those with one first
		}
		return cmp.Compare(a.instance, b.instance)
	})
	readers := make(map[TopicID]int32)
	for _, m := range members {
		for _, t := range m.topics {
			readers[t]++
		}
	}
	next, given := make(map[TopicID]int32), make(map[TopicID]int32)
	target := make(map[string][]Partition, len(members))
	for _, m := range members {
		var mine []Partition
		for _, t := range m.topics {
			quota := counts[t] / readers[t]
			if given[t] < counts[t]%readers[t] {
				quota++
			}
			given[t]++
			for range quota {
				mine = append(mine, Partition{t, next[t]})
				next[t]++
			}
		}
		target[m.id] = mine
	}
	return target
}

// assignUniform spreads partitions evenly over the members that read them and moves as few as that takes: everybody keeps what they had,
// what nobody has goes to those with least, and then those with at least two more than another give to it. Where all read the same topics no
// two members differ by more than one, as with Kafka's UniformAssignor. Of racks it knows nothing: there is one broker.
func assignUniform(members []subscriber, counts map[TopicID]int32) map[string][]Partition {
	u := newUniform(members)
	owned := make(map[Partition]struct{})
	for i, m := range members {
		for _, p := range m.prior {
			if _, reads := slices.BinarySearchFunc(m.topics, p.Topic, compareTopics); !reads || p.Index >= counts[p.Topic] {
				continue
			}
			if _, ok := owned[p]; !ok {
				owned[p] = struct{}{}
				u.give(i, p)
			}
		}
	}
	topics := slices.SortedFunc(maps.Keys(u.readers), compareTopics)
	for _, t := range topics {
		for index := range counts[t] {
			p := Partition{t, index}
			if _, ok := owned[p]; !ok {
				u.give(u.lightest(t), p)
			}
		}
	}
	for u.even() {
	}
	target := make(map[string][]Partition, len(members))
	for i, m := range members {
		mine := slices.Concat(u.heldBy(i)...)
		slices.SortFunc(mine, comparePartitions)
		target[m.id] = mine
	}
	return target
}

// uniform is an assignment that is being made; members are known by their numbers.
type uniform struct {
	members []subscriber
	readers map[TopicID][]int
	held    []map[TopicID][]Partition
	load    []int
}

func newUniform(members []subscriber) *uniform {
	u := &uniform{members: members, readers: make(map[TopicID][]int), held: make([]map[TopicID][]Partition, len(members)), load: make([]int, len(members))}
	for i, m := range members {
		u.held[i] = make(map[TopicID][]Partition)
		for _, t := range m.topics {
			u.readers[t] = append(u.readers[t], i)
		}
	}
	return u
}

func (u *uniform) give(i int, p Partition) {
	u.held[i][p.Topic] = append(u.held[i][p.Topic], p)
	u.load[i]++
}

// lightest returns the reader of a topic that has least, the first of them.
func (u *uniform) lightest(t TopicID) int {
	readers := u.readers[t]
	best := readers[0]
	for _, i := range readers[1:] {
		if u.load[i] < u.load[best] {
			best = i
		}
	}
	return best
}

// even moves one partition between the two members whose loads differ most, if by two at least, of which one has what the other could have,
// and reports whether there were any. Each move makes the sum of the squares of the loads less, so it comes to an end; and as the heaviest
// gives first, nobody gives what it was just given.
func (u *uniform) even() (moved bool) {
	lightest := make(map[TopicID]int, len(u.readers))
	for t := range u.readers {
		lightest[t] = u.lightest(t)
	}
	from, topic, most := 0, TopicID{}, 1
	for i, m := range u.members {
		for _, t := range m.topics {
			if d := u.load[i] - u.load[lightest[t]]; d > most && len(u.held[i][t]) > 0 {
				from, topic, most = i, t, d
			}
		}
	}
	if most < 2 {
		return false
	}
	last := len(u.held[from][topic]) - 1
	p := u.held[from][topic][last]
	u.held[from][topic] = u.held[from][topic][:last]
	u.load[from]--
	u.give(lightest[topic], p)
	return true
}

// heldBy returns what a member has, by topic.
func (u *uniform) heldBy(i int) (all [][]Partition) {
	for _, t := range u.members[i].topics {
		all = append(all, u.held[i][t])
	}
	return all
}
