package operator

import (
	"slices"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// StreamTable joins each record of a stream with the table's row of its key (D-115, D-116); of a versioned table with the row
// as it was at the record's time (D-117). Only the stream triggers. The result has the record's key, time and headers.
//
// Without Left a record without a row has no result, and one with a null key or value is dropped. With it a missing row is
// absent, and so is that of a null key; a null value is dropped all the same.
//
// With a buffer, records wait until the highest event time of those that take part has reached their own plus the grace period; neither dropped
// ones count for that time nor the table's (D-118).
type StreamTable[K, V, W, R any] struct {
	Table  *Table[K, W]
	Left   bool
	Join   func(K, V, serde.Maybe[W]) R
	Buffer string // name of the store of those that wait; empty: none does
	Grace  int64  // milliseconds
}

// Node makes the node.
func (t *StreamTable[K, V, W, R]) Node(name string) *topology.Node {
	rows := t.Table.View()
	stores := rows.Stores
	if t.Buffer != "" {
		stores = append(slices.Clone(stores), t.Buffer)
	}
	return processor(name, stores, func(e env, down topology.Emit[K, R]) (topology.Emit[K, V], func() error, error) {
		j, err := openStreamTable(e, rows, t, down)
		if err != nil {
			return nil, nil, err
		}
		if t.Buffer != "" {
			return j.takeLater, nil, nil
		}
		return j.take, nil, nil
	})
}

// streamTable is a stream-table join in one task.
type streamTable[K, V, W, R any] struct {
	env env
	*StreamTable[K, V, W, R]
	row                                   GetAsOf[K, W]
	buffer                                *state.RecordBuffer[K, V]
	time                                  *int64                           // of the records that took part
	due                                   func(state.Buffered[K, V]) error // bound once
	down                                  topology.Emit[K, R]
	nilableKey, nilableValue, nilableJoin bool
}

func openStreamTable[K, V, W, R any](
	e env, rows View[K, W], t *StreamTable[K, V, W, R], down topology.Emit[K, R],
) (*streamTable[K, V, W, R], error) {
	j := &streamTable[K, V, W, R]{
		env: e, StreamTable: t, down: down, nilableKey: nilable[K](), nilableValue: nilable[V](), nilableJoin: nilable[R](),
	}
	if t.Buffer != "" {
		var err error
		if j.buffer, err = store[*state.RecordBuffer[K, V]](e, t.Buffer); err != nil {
			return nil, err
		}
		j.due, j.time = j.joinBuffered, e.scope.OperatorTime(t.Buffer)
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

func (j *streamTable[K, V, W, R]) take(r topology.Record[K, V]) {
	if j.accepts(&r) {
		j.env.failed(j.join(&r))
	}
}

// takeLater is take with a buffer.
func (j *streamTable[K, V, W, R]) takeLater(r topology.Record[K, V]) {
	if !j.accepts(&r) {
		return
	}
	*j.time = max(*j.time, r.Timestamp)
	open := *j.time - j.Grace // records from there on wait
	var err error
	if r.Timestamp < open || !hasKey(&r, j.nilableKey) {
		err = j.join(&r)
	} else {
		err = j.buffer.Add(r.Key, r.Value, r.Timestamp, r.Headers, j.env.scope.Source())
	}
	if err == nil {
		err = j.buffer.Take(open, j.due)
	}
	j.env.failed(err)
}

// joinBuffered joins a record that has waited, and shows where it came from.
func (j *streamTable[K, V, W, R]) joinBuffered(b state.Buffered[K, V]) error {
	value, _ := b.Change.New.Get()
	r := topology.NewRecord(b.Key, value, b.Timestamp)
	r.Headers = b.Headers
	was := j.env.scope.SetSource(b.Source)
	err := j.join(&r)
	j.env.scope.SetSource(was)
	return err
}

// accepts reports whether the record takes part; one that does not is counted.
func (j *streamTable[K, V, W, R]) accepts(r *topology.Record[K, V]) bool {
	switch {
	case !hasValue(r, j.nilableValue):
		j.env.drop(topology.ReasonNullValue)
		return false
	case !j.Left && !hasKey(r, j.nilableKey):
		j.env.drop(topology.ReasonNullKey)
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
	if !j.Left && !row.Present() {
		return nil
	}
	var out topology.Record[K, R]
	topology.SetValue(&out, r, j.Join(r.Key, r.Value, row))
	if j.nilableJoin {
		flag(&out, false, true)
	}
	j.down(out)
	return nil
}
