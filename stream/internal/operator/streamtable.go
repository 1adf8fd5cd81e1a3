package operator

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// StreamTableJoin joins each record of a stream with the table's row of its key (D-115, D-116); of a versioned table with the row
// as it was at the record's time (D-117). Only the stream triggers. The result has the record's key, time and headers.
//
// Without left a record without a row has no result, and one with a null key or value is dropped. With it a missing row is
// absent, and so is that of a null key; a null value is dropped all the same.
func StreamTableJoin[K, V, W, R any](name string, table *Table[K, W], left bool, join func(K, V, serde.Maybe[W]) R) *topology.Node {
	rows := table.View()
	return processor(name, rows.Stores, func(e env, down topology.Emit[K, R]) (topology.Emit[K, V], func() error, error) {
		j, err := openStreamTable(e, rows, left, join, down)
		if err != nil {
			return nil, nil, err
		}
		return func(r topology.Record[K, V]) {
			if j.accepts(&r) {
				e.failed(j.join(&r))
			}
		}, nil, nil
	})
}

// streamTable is a stream-table join in one task.
type streamTable[K, V, W, R any] struct {
	env
	row                                   GetAsOf[K, W]
	left                                  bool
	f                                     func(K, V, serde.Maybe[W]) R
	down                                  topology.Emit[K, R]
	nilableKey, nilableValue, nilableJoin bool
}

func openStreamTable[K, V, W, R any](
	e env, rows View[K, W], left bool, f func(K, V, serde.Maybe[W]) R, down topology.Emit[K, R],
) (*streamTable[K, V, W, R], error) {
	j := &streamTable[K, V, W, R]{
		env: e, left: left, f: f, down: down, nilableKey: nilable[K](), nilableValue: nilable[V](), nilableJoin: nilable[R](),
	}
	if rows.asOf != nil {
		var err error
		j.row, err = rows.asOf(e)
		return j, err
	}
	get, err := rows.open(e)
	j.row = func(key K, _ int64) (serde.Maybe[W], error) {
		row, _, err := get(key)
		return row, err
	}
	return j, err
}

// accepts reports whether the record takes part; one that does not is counted.
func (j *streamTable[K, V, W, R]) accepts(r *topology.Record[K, V]) bool {
	switch {
	case !hasValue(r, j.nilableValue):
		j.drop(topology.ReasonNullValue)
		return false
	case !j.left && !hasKey(r, j.nilableKey):
		j.drop(topology.ReasonNullKey)
		return false
	}
	return true
}

func (j *streamTable[K, V, W, R]) join(r *topology.Record[K, V]) error {
	var row serde.Maybe[W]
	if hasKey(r, j.nilableKey) {
		var err error
		if row, err = j.row(r.Key, r.Timestamp); err != nil {
			return err
		}
	}
	if !j.left && !row.Present() {
		return nil
	}
	var out topology.Record[K, R]
	topology.SetValue(&out, r, j.f(r.Key, r.Value, row))
	if j.nilableJoin {
		flag(&out, false, true)
	}
	j.down(out)
	return nil
}
