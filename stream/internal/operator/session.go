package operator

import (
	"errors"
	"math"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// SessionFold is what a session aggregation does. An aggregate that is not there (ok false) is what a reduce begins with, and what
// a function leaves that returns nil.
type SessionFold[K, V, A any] struct {
	Init  func() (A, bool)
	Merge func(key K, a A, ok bool, b A) (A, bool)
	Add   func(key K, value V, a A, ok bool) (A, bool)
	Nulls bool // a null value that V cannot hold is taken, not dropped
}

// SessionAdder is the fold of an aggregate.
func SessionAdder[K, V, A any](init func() A, add func(K, V, A) A, merge func(K, A, A) A) SessionFold[K, V, A] {
	nilable := nilable[A]()
	there := func(a A) (A, bool) { return a, !(nilable && isNil(a)) }
	return SessionFold[K, V, A]{
		Init:  func() (A, bool) { return there(init()) },
		Merge: func(k K, a A, _ bool, b A) (A, bool) { return there(merge(k, a, b)) },
		Add:   func(k K, v V, a A, _ bool) (A, bool) { return there(add(k, v, a)) },
	}
}

// SessionCounter is the fold of a count.
func SessionCounter[K, V any]() SessionFold[K, V, int64] {
	return SessionFold[K, V, int64]{
		Init:  func() (int64, bool) { return 0, true },
		Merge: func(_ K, a int64, _ bool, b int64) (int64, bool) { return a + b, true },
		Add:   func(_ K, _ V, a int64, _ bool) (int64, bool) { return a + 1, true },
		Nulls: true,
	}
}

// SessionReducer is the fold of a reduce.
func SessionReducer[K, V any](f func(V, V) V) SessionFold[K, V, V] {
	nilable := nilable[V]()
	reduce := func(a V, ok bool, b V) (V, bool) {
		if ok {
			b = f(a, b)
		}
		return b, !(nilable && isNil(b))
	}
	return SessionFold[K, V, V]{
		Init:  func() (v V, ok bool) { return v, false },
		Merge: func(_ K, a V, ok bool, b V) (V, bool) { return reduce(a, ok, b) },
		Add:   func(_ K, v V, a V, ok bool) (V, bool) { return reduce(a, ok, v) },
	}
}

// Session folds the records of each key into sessions (D-81 to D-85). A record joins the sessions of its key that it is at most a gap
// away from into one, which is named by its new bounds: those that it absorbs are deleted. Changes have the session's end as their
// time. A record is late if the session that it would be part of has ended, gap and grace period included, before the
// operator's stream time (D-83).
//
// Sessions that end at or before the newest one written less the retention, in milliseconds, are gone: without a cache they take no
// part any more; with one they do, as long as the store has them, but their deletion is not passed on.
func Session[K, V, A any](name string, st *Store, windows window.Session, retention int64, fold SessionFold[K, V, A]) *topology.Node {
	open := func(e env, down topology.Emit[window.Windowed[K], state.Change[A]]) (topology.Emit[K, V], func() error, error) {
		rows, err := store[*state.Session[K, A]](e, st.Name)
		if err != nil {
			return nil, nil, err
		}
		rows.OmitHeaders()
		if !st.old || st.Uncached || st.OnClose {
			rows.OmitOld()
		}
		s := &sessions[K, V, A]{
			env: e, rows: rows, spec: st, down: down, fold: fold, closing: newClosing(e, st),
			gap: windows.Gap().Milliseconds(), grace: windows.GracePeriod().Milliseconds(), keep: retention,
			nilableKey: nilable[K](), takesNull: fold.Nulls || nilable[V](), time: st.time(e, name),
		}
		s.collect = func(start, end int64, v A) bool {
			s.found = append(s.found, session[A]{start, end, v})
			return true
		}
		newestEnd := int64(-1)
		if newest, ok := rows.Newest(); ok {
			newestEnd = newest
			if st.Shared == 0 {
				*s.time = max(*s.time, newest)
			}
		}
		if s.newest, err = st.ended.in(e, func() (int64, error) { return newestEnd, nil }); err != nil {
			return nil, nil, err
		}
		if st.Uncached || st.OnClose {
			return s.take, nil, nil
		}
		return s.take, func() error { return rows.Changes(s.changed) }, nil
	}
	return processor(name, []string{st.Name}, open)
}

type session[A any] struct {
	start, end int64
	value      A
}

type sessions[K, V, A any] struct {
	env                   env
	rows                  *state.Session[K, A]
	spec                  *Store
	down                  topology.Emit[window.Windowed[K], state.Change[A]]
	fold                  SessionFold[K, V, A]
	gap, grace, keep      int64
	nilableKey, takesNull bool
	time                  *int64 // stream time, -1: no record yet
	newest                *int64 // end of the newest session that was written, or passed on if that waits for the commit; -1: none. All nodes of the store share it
	closing               *closing

	found   []session[A] // of one record
	collect func(start, end int64, v A) bool
}

func (s *sessions[K, V, A]) take(r topology.Record[K, V]) {
	if !hasKey(&r, s.nilableKey) {
		s.env.drop(topology.ReasonNullKey)
		return
	}
	if !s.takesNull && !r.HasValue() {
		s.env.drop(topology.ReasonNullValue)
		return
	}
	*s.time = max(*s.time, r.Timestamp)
	closed := *s.time - s.grace - s.gap // sessions that end before it
	err := s.update(&r, closed)
	if err == nil && s.closing != nil {
		err = s.emitClosed(&r, closed)
	}
	s.env.failed(err)
}

func (s *sessions[K, V, A]) update(r *topology.Record[K, V], closed int64) error {
	clear(s.found)
	s.found = s.found[:0]
	earliest := r.Timestamp - s.gap
	if s.now() {
		earliest = max(earliest, s.low())
	}
	if err := s.rows.Find(r.Key, earliest, later(r.Timestamp, s.gap), s.collect); err != nil {
		return err
	}
	start, end := r.Timestamp, r.Timestamp
	for _, f := range s.found {
		start, end = min(start, f.start), max(end, f.end)
	}
	a, ok := s.fold.Init()
	for _, f := range s.found {
		old := f.value
		a, ok = s.fold.Merge(r.Key, a, ok, old)
	}
	if end < closed {
		s.env.drop(topology.ReasonLate)
		return nil
	}
	a, ok = s.fold.Add(r.Key, r.Value, a, ok) // before anything is written: it may panic, and the task go on
	if start != r.Timestamp || end != r.Timestamp {
		for _, f := range s.found {
			if err := s.remove(r, f); err != nil {
				return err
			}
		}
	}
	if s.now() {
		*s.newest = max(*s.newest, end)
	}
	c := state.Change[A]{Latest: true}
	var err error
	if ok {
		c.New = serde.Some(a)
		err = s.rows.Put(r.Key, start, end, a, r.Timestamp, r.Headers)
	} else {
		err = s.rows.Delete(r.Key, start, end, r.Timestamp, r.Headers)
	}
	if errors.Is(err, state.ErrExpired) {
		err = nil // the store has let go of it already
	}
	if err == nil && s.spec.Uncached && !s.spec.OnClose {
		s.forward(r.Key, start, end, c, r.Headers)
	}
	return err
}

// remove deletes a session that another one absorbs.
func (s *sessions[K, V, A]) remove(r *topology.Record[K, V], f session[A]) error {
	c := state.Change[A]{Latest: true}
	if s.spec.Uncached && s.spec.old {
		old, _, ok, err := s.rows.Get(r.Key, f.start, f.end) // f.value may have been changed by the merger
		if err != nil {
			return err
		}
		if ok {
			c.Old = serde.Some(old)
		}
	}
	if err := s.rows.Delete(r.Key, f.start, f.end, r.Timestamp, r.Headers); err != nil {
		return err
	}
	if s.spec.Uncached && !s.spec.OnClose {
		s.forward(r.Key, f.start, f.end, c, r.Headers)
	}
	return nil
}

// now reports whether what is written takes effect with the record, and not with the commit.
func (s *sessions[K, V, A]) now() bool { return s.spec.Uncached || s.spec.OnClose }

// low returns the lowest end of a session that is not gone.
func (s *sessions[K, V, A]) low() int64 {
	if *s.newest < 0 {
		return math.MinInt64
	}
	return *s.newest - s.keep + 1
}

// changed passes on a change with the commit. What is gone is not known any more: it has no old value, and cannot be deleted.
func (s *sessions[K, V, A]) changed(k K, start, end int64, c state.Change[A], _ int64, h serde.Headers) error {
	if end < s.low() {
		if c.Old = serde.None[A](); !c.New.Present() {
			return nil
		}
	}
	*s.newest = max(*s.newest, end)
	s.forward(k, start, end, c, h)
	return nil
}

// forward emits a change at the session's end (D-84).
func (s *sessions[K, V, A]) forward(k K, start, end int64, c state.Change[A], h serde.Headers) {
	r := topology.NewRecord(window.Windowed[K]{Key: k, Start: start, End: end}, c, end)
	r.Headers = h
	s.down(r)
}

// emitClosed emits the sessions that have ended before closed since the last time, by end, start and key (D-87).
func (s *sessions[K, V, A]) emitClosed(r *topology.Record[K, V], closed int64) error {
	if !s.closing.due(closed, false) {
		return nil
	}
	var rows []state.SessionRow[K, A]
	var spans []span
	err := s.rows.All(max(0, *s.closing.last), closed-1, func(row state.SessionRow[K, A]) error {
		spans = append(spans, span{row.Start, row.End, len(rows)})
		rows = append(rows, row)
		return nil
	})
	if err != nil {
		return err
	}
	for _, at := range inOrder(spans) {
		row := &rows[at.place]
		s.forward(row.Key, row.Start, row.End, state.Change[A]{New: serde.Some(row.Value), Latest: true}, r.Headers)
	}
	s.closing.emitted(closed)
	return nil
}
