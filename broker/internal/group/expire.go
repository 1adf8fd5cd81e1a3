package group

import (
	"slices"
	"time"
)

// ExpireOffsets returns the records that drop what nobody has used for the retention (offsets.retention.minutes, KIP-186 and KIP-211): the
// offsets of a group that became empty so long ago; of a group that never had members, those committed so long ago; of a stable group of
// consumers, or any of KIP-848, those of topics that no member subscribes to. An offset that an open transaction is about to replace stays. A group
// without members that has nothing left goes itself. name returns a topic's name, or false if the topic is gone.
func (c *Coordinator) ExpireOffsets(now time.Time, retention time.Duration, name func(TopicID) (string, bool)) (records [][]byte) {
	before := now.Add(-retention).UnixMilli()
	for _, n := range sortedKeys(c.groups) {
		g := c.groups[n]
		gone := g.expired(before, name)
		staged := false
		for _, groups := range c.staged {
			staged = staged || len(groups[n]) > 0
		}
		if staged {
			kept := gone[:0]
			for _, p := range gone {
				if !c.unstable(n, p) {
					kept = append(kept, p)
				}
			}
			gone = kept
		}
		switch {
		case g.empty() && len(gone) == len(g.offsets) && !staged && len(g.promised) == 0:
			records = append(records, encodeDelete(n))
		case len(gone) > 0:
			records = append(records, encodeDeleteOffsets(n, gone))
		}
	}
	return records
}

// expired returns the partitions, in order, whose offsets have not been used since before, in milliseconds.
func (g *group) expired(before int64, name func(TopicID) (string, bool)) (gone []Partition) {
	var kept func(p Partition, o offset) bool
	switch {
	case g.consumer != nil:
		kept = func(p Partition, o offset) bool {
			topic, ok := name(p.Topic)
			return o.committed > before || ok && g.subscribed(topic)
		}
	case g.protocolType == "":
		kept = func(_ Partition, o offset) bool { return o.committed > before }
	case g.state == Empty:
		kept = func(_ Partition, o offset) bool {
			if g.emptySince == 0 { // it became empty under a version that did not note when
				return o.committed > before
			}
			return g.emptySince > before
		}
	case g.state == Stable && g.protocolType == consumerProtocol:
		kept = func(p Partition, o offset) bool {
			topic, ok := name(p.Topic)
			return o.committed > before || ok && g.subscribed(topic)
		}
	default:
		return nil
	}
	for p, o := range g.offsets {
		if !kept(p, o) {
			gone = append(gone, p)
		}
	}
	slices.SortFunc(gone, comparePartitions)
	return gone
}
