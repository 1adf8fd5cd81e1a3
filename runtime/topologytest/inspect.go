package topologytest

import (
	"maps"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// StoreOf returns a store of the topology, such as StoreOf[*state.KeyValue[string, int64]](d, "counts"). It may be read and,
// before the first record, filled. It fails the test if there is none of that name and type.
//
// Where topics have several partitions it is that of partition 0, see [StoreAt].
func StoreOf[S state.Layer](d *Driver, name string) S {
	d.tb.Helper()
	return StoreAt[S](d, name, 0)
}

// StoreAt is [StoreOf] for the store of the task that works on a partition.
func StoreAt[S state.Layer](d *Driver, name string, partition int32) S {
	d.tb.Helper()
	var layer state.Layer
	for _, t := range d.tasks {
		if layer = t.Store(name); layer != nil && t.ID().Partition == partition {
			break
		}
		layer = nil
	}
	s, ok := layer.(S)
	if !ok {
		if layer == nil {
			d.tb.Fatalf("topologytest: store %s: there is none", name)
		}
		d.tb.Fatalf("topologytest: store %s is a %T, not a %T", name, layer, s)
	}
	return s
}

// Drop counts the records that a node left out for one reason.
type Drop = task.Drop

// Drops returns the dropped records, by node and reason.
func (d *Driver) Drops() []Drop {
	type key struct {
		node   string
		reason topology.Reason
	}
	counts := map[key]int64{}
	for drop, n := range d.dropped {
		counts[key{drop.Node, drop.Reason}] += n
	}
	for _, t := range d.tasks {
		for _, drop := range slices.Concat(t.Stats().Drops, t.Pending().Drops) {
			counts[key{drop.Node, drop.Reason}] += drop.Count
		}
	}
	var drops []Drop
	for k, n := range counts {
		drops = append(drops, Drop{Node: k.node, Reason: k.reason, Count: n})
	}
	slices.SortFunc(drops, Drop.Compare)
	return drops
}

// Dropped returns how many records were dropped, whatever the reason.
func (d *Driver) Dropped() int64 {
	var n int64
	for _, drop := range d.Drops() {
		n += drop.Count
	}
	return n
}

// Topics returns the topics that hold records, by their full names, sorted: piped, written, internal.
func (d *Driver) Topics() []string { return slices.Sorted(maps.Keys(d.log.topics)) }

// Records returns the records of a topic as bytes, from the beginning: those of all partitions, in the order in which they were written.
func (d *Driver) Records(topic string) []topology.Raw {
	var records []topology.Raw
	for _, r := range d.log.topics[topic] {
		records = append(records, r.Raw)
	}
	return records
}

// RecordsOf returns the records of one partition of a topic.
func (d *Driver) RecordsOf(topic string, partition int32) []topology.Raw {
	var records []topology.Raw
	for _, r := range d.log.topics[topic] {
		if r.partition == partition {
			records = append(records, r.Raw)
		}
	}
	return records
}
