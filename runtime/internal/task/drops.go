package task

import (
	"cmp"
	"context"
	"log/slog"
	"slices"

	"github.com/millrace-io/millrace/topology"
)

// Drop counts the records that a node left out for one reason.
type Drop struct {
	Node   string
	Reason topology.Reason
	Count  int64
}

// drops counts dropped records. Those of the open transaction show only when it has committed: after an abort they are
// dropped again.
type drops struct {
	pending, committed map[dropKey]int64
}

type dropKey struct {
	node   string
	reason topology.Reason
}

func (d *drops) add(node string, reason topology.Reason) {
	if d.pending == nil {
		d.pending = map[dropKey]int64{}
	}
	d.pending[dropKey{node, reason}]++
}

func (d *drops) commit() {
	if len(d.pending) == 0 {
		return
	}
	if d.committed == nil {
		d.committed = map[dropKey]int64{}
	}
	for k, n := range d.pending {
		d.committed[k] += n
	}
	clear(d.pending)
}

func listDrops(counts map[dropKey]int64) []Drop {
	list := make([]Drop, 0, len(counts))
	for k, n := range counts {
		list = append(list, Drop{Node: k.node, Reason: k.reason, Count: n})
	}
	slices.SortFunc(list, Drop.Compare)
	return list
}

// Compare orders drops by node, then reason.
func (d Drop) Compare(other Drop) int {
	return cmp.Or(cmp.Compare(d.Node, other.Node), cmp.Compare(d.Reason, other.Reason))
}

// drop counts a record that node leaves out, and names it in the log.
func (t *Task) drop(node *topology.Node, reason topology.Reason, detail error) {
	t.drops.add(node.Name, reason)
	source := t.where()
	attrs := []slog.Attr{
		slog.String("task", t.id.String()),
		slog.String("topic", source.Topic),
		slog.Int("partition", int(source.Partition)),
		slog.Int64("offset", source.Offset),
		slog.String("node", node.Name),
		slog.String("reason", string(reason)),
	}
	if detail != nil {
		attrs = append(attrs, slog.Any("err", detail))
	}
	t.log.LogAttrs(context.Background(), slog.LevelWarn, "record dropped", attrs...)
}
