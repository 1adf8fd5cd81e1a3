package operator

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// Table is a table while the plan is made: what the operators below can ask of it. What they have asked is fixed when the
// plan is done; tasks only read it.
type Table[K, V any] struct {
	// AskOld asks for the old values of its changes and reports whether they will come. A table that has no store
	// of its own or above gets one only if force says so.
	AskOld func(force bool) bool
	// View asks for its current rows: the nearest source is materialised if nothing nearer is.
	View func() View[K, V]
	// Versioned says that the latest row is that of the highest event time, not of the last record.
	Versioned bool
	History   int64 // of a versioned table, in milliseconds: how far back rows can be looked up
}

// View reads a table's current rows from whatever stores they can be computed from.
type View[K, V any] struct {
	Stores []string
	open   func(env) (Get[K, V], error)
	asOf   func(env) (GetAsOf[K, V], error) // nil if the table is not versioned
}

// Get returns a row and its event time. The value is the caller's.
type Get[K, V any] func(key K) (row serde.Maybe[V], timestamp int64, err error)

// GetAsOf returns the row of key as it was at a time.
type GetAsOf[K, V any] func(key K, at int64) (row serde.Maybe[V], err error)

// Store is what the plan decides about the store of one operator. Tasks read it when they are built.
type Store struct {
	Name      string
	Uncached  bool // every update is forwarded, and not the last of a commit only
	Versioned bool
	History   int64 // of a versioned store, in milliseconds
	old       bool  // an operator below asks for old values

	// Shared is how long windows are kept, in milliseconds, if several nodes write the store, each with a time of its own (D-69): one
	// may write what the others' time has made the store forget. 0: one node writes it.
	Shared int64
	ended  perTask[int64] // of sessions: see sessions.newest

	OnClose      bool  // windows are emitted when they close, and not when they change (D-87)
	EmitInterval int64 // wall-clock milliseconds between two looks for closed windows
}

// time returns where the operator of a node keeps its time. Nodes that share a store have one each.
func (s *Store) time(e env, node string) *int64 {
	if s.Shared > 0 {
		return e.scope.OperatorTime(s.Name + "/" + node)
	}
	return e.scope.OperatorTime(s.Name)
}

// Stored returns the store of an operator that forwards its changes with the commit.
func Stored(name string) *Store { return &Store{Name: name} }

// askOld is Table.AskOld of a table that has a store.
func (s *Store) askOld(bool) bool {
	s.old = true
	return true
}

// StoredTable is the table that an operator keeps in s.
func StoredTable[K, V any](s *Store) *Table[K, V] {
	return &Table[K, V]{AskOld: s.askOld, View: func() View[K, V] { return storedView[K, V](s) }, Versioned: s.Versioned, History: s.History}
}

func storedView[K, V any](s *Store) View[K, V] {
	if s.Versioned {
		return versionedView[K, V](s)
	}
	return View[K, V]{Stores: []string{s.Name}, open: func(e env) (Get[K, V], error) {
		rows, err := store[*state.KeyValue[K, V]](e, s.Name)
		if err != nil {
			return nil, err
		}
		return func(key K) (serde.Maybe[V], int64, error) { return maybe(rows.Get(key)) }, nil
	}}
}

func versionedView[K, V any](s *Store) View[K, V] {
	v := View[K, V]{Stores: []string{s.Name}}
	v.open = func(e env) (Get[K, V], error) {
		rows, err := store[*state.Versioned[K, V]](e, s.Name)
		return func(key K) (serde.Maybe[V], int64, error) { return maybe(rows.Get(key)) }, err
	}
	v.asOf = func(e env) (GetAsOf[K, V], error) {
		rows, err := store[*state.Versioned[K, V]](e, s.Name)
		return func(key K, at int64) (serde.Maybe[V], error) {
			row, _, err := maybe(rows.GetAsOf(key, at))
			return row, err
		}, err
	}
	return v
}

func maybe[V any](v V, timestamp int64, ok bool, err error) (serde.Maybe[V], int64, error) {
	if !ok || err != nil {
		return serde.None[V](), -1, err
	}
	return serde.Some(v), timestamp, nil
}

// present returns v, absent if it is nil: a function that returns nil means that there is no row.
func present[V any](v V, nilable bool) serde.Maybe[V] {
	if nilable && isNil(v) {
		return serde.None[V]()
	}
	return serde.Some(v)
}

// change makes a change of r, whose key, time and headers stay.
func change[K, V, R any](r *topology.Record[K, V], c state.Change[R]) (out topology.Record[K, state.Change[R]]) {
	topology.SetValue(&out, r, c)
	return out
}

// writer writes the rows of a materialised table in one task and passes the changes on: at once, or with the flush.
type writer[K, V any] struct {
	env env
	*Store
	rows     *state.KeyValue[K, V]
	versions *state.Versioned[K, V] // in place of rows: of a versioned table, which is not cached (S-12)
	down     topology.Emit[K, state.Change[V]]
}

func openWriter[K, V any](e env, s *Store, down topology.Emit[K, state.Change[V]]) (*writer[K, V], error) {
	w := &writer[K, V]{env: e, Store: s, down: down}
	var err error
	if s.Versioned {
		w.versions, err = store[*state.Versioned[K, V]](e, s.Name)
		return w, err
	}
	if w.rows, err = store[*state.KeyValue[K, V]](e, s.Name); err != nil {
		return nil, err
	}
	w.rows.OmitHeaders()
	if !s.old || s.Uncached {
		w.rows.OmitOld()
	}
	return w, nil
}

// held reports whether changes wait for the flush.
func (w *writer[K, V]) held() bool { return !w.Uncached && !w.Versioned }

// get returns the row of key.
func (w *writer[K, V]) get(key K) (row serde.Maybe[V], err error) {
	if w.Versioned {
		row, _, err = maybe(w.versions.Get(key))
	} else {
		row, _, err = maybe(w.rows.Get(key))
	}
	return row, err
}

// put writes the row of key, absent to delete it. row may be shared with others: the store keeps a copy.
func (w *writer[K, V]) put(key K, row serde.Maybe[V], timestamp int64, h serde.Headers) error {
	c := state.Change[V]{New: row, Latest: true}
	if w.old && !w.held() {
		var err error
		if c.Old, err = w.get(key); err != nil {
			return err
		}
	}
	return w.putChange(key, c, timestamp, h)
}

// putChange is put for a change that brings its own old value.
func (w *writer[K, V]) putChange(key K, c state.Change[V], timestamp int64, h serde.Headers) error {
	if w.Versioned {
		return w.putVersion(key, c, timestamp, h)
	}
	var err error
	if v, ok := c.New.Get(); ok {
		err = w.rows.Put(key, v, timestamp, h)
	} else {
		err = w.rows.Delete(key, timestamp, h)
	}
	if err != nil || !w.Uncached {
		return err
	}
	w.forward(key, c, timestamp, h)
	return nil
}

// putVersion writes a version. One that is older than the store's history is not passed on.
func (w *writer[K, V]) putVersion(key K, c state.Change[V], timestamp int64, h serde.Headers) error {
	var valid state.Validity
	var err error
	if v, ok := c.New.Get(); ok {
		valid, err = w.versions.Put(key, v, timestamp)
	} else {
		valid, err = w.versions.Delete(key, timestamp)
	}
	switch {
	case err != nil:
		return err
	case !valid.Stored:
		w.env.drop(topology.ReasonLate)
		return nil
	}
	c.Latest = valid.Latest
	w.forward(key, c, timestamp, h)
	return nil
}

func (w *writer[K, V]) forward(key K, c state.Change[V], timestamp int64, h serde.Headers) {
	r := topology.NewRecord(key, c, timestamp)
	r.Headers = h
	w.down(r)
}

// flush returns what passes the changes of the last commit on, nil if nothing is held back.
func (w *writer[K, V]) flush() func() error {
	if !w.held() {
		return nil
	}
	forward := func(k K, c state.Change[V], t int64, h serde.Headers) error {
		w.forward(k, c, t, h)
		return nil
	}
	return func() error { return w.rows.Changes(forward) }
}
