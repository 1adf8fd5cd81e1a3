package operator

import (
	"errors"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// Sliding folds the records of each key into sliding windows (D-77 to D-80): the windows that hold the record, the one that ends with it,
// and those that begin right after a record. Records with a null key or a null value are dropped. A record is late if no window
// that it belongs to is open; of the others, the closed ones are left out and counted.
func Sliding[K, V, A any](name string, st *Store, windows window.Sliding, fold Fold[K, V, A]) *topology.Node {
	open := func(e env, down topology.Emit[window.Windowed[K], state.Change[A]]) (topology.Emit[K, V], func() error, error) {
		rows, err := store[*state.Window[K, A]](e, st.Name)
		if err != nil {
			return nil, nil, err
		}
		rows.OmitHeaders()
		if !st.old || st.Uncached || st.OnClose {
			rows.OmitOld()
		}
		s := &sliding[K, V, A]{
			env: e, rows: rows, spec: st, down: down, fold: fold.guarded(e), closing: newClosing(e, st),
			length: windows.Difference().Milliseconds(), grace: windows.GracePeriod().Milliseconds(),
			nilableKey: nilable[K](), nilableValue: nilable[V](), time: st.time(e, name),
		}
		s.collect = func(start int64, v A, ts int64) bool {
			s.found = append(s.found, slide[A]{start, v, ts})
			return true
		}
		if newest, ok := rows.Newest(); ok && st.Shared == 0 {
			*s.time = max(*s.time, newest)
		}
		if st.Uncached || st.OnClose {
			return s.take, nil, nil
		}
		return s.take, func() error { return rows.Changes(s.forward) }, nil
	}
	return processor(name, []string{st.Name}, open)
}

// slide is a window that the store has.
type slide[A any] struct {
	start int64
	value A
	time  int64 // of its latest record
}

type sliding[K, V, A any] struct {
	env                      env
	rows                     *state.Window[K, A]
	spec                     *Store
	down                     topology.Emit[window.Windowed[K], state.Change[A]]
	fold                     *Fold[K, V, A]
	closing                  *closing
	length, grace            int64
	nilableKey, nilableValue bool
	time                     *int64 // stream time, -1: no record yet

	found   []slide[A] // of one record, oldest first
	collect func(start int64, v A, ts int64) bool
	closed  int64        // windows that end before it, of the record at hand
	begun   seeded[K, A] // not allocated for each
}

func (s *sliding[K, V, A]) take(r topology.Record[K, V]) {
	switch {
	case !hasKey(&r, s.nilableKey):
		s.env.drop(topology.ReasonNullKey)
		return
	case !hasValue(&r, s.nilableValue):
		s.env.drop(topology.ReasonNullValue)
		return
	}
	*s.time = max(*s.time, r.Timestamp)
	s.closed = *s.time - s.grace
	var err error
	if s.closing != nil {
		err = s.emitClosed(&r)
	}
	if err == nil {
		err = s.update(&r)
	}
	if errors.Is(err, state.ErrExpired) { // only where another node moves the store's time
		s.env.drop(topology.ReasonLate)
		return
	}
	s.env.failed(err)
}

func (s *sliding[K, V, A]) update(r *topology.Record[K, V]) error {
	if later(r.Timestamp, s.length) < s.closed {
		s.env.drop(topology.ReasonLate)
		return nil
	}
	from := r.Timestamp - 2*s.length
	if r.Timestamp < s.length {
		from = 0
	}
	clear(s.found)
	s.found = s.found[:0]
	if err := s.rows.Each(r.Key, max(0, from), later(r.Timestamp, 1), s.collect); err != nil {
		return err
	}
	if r.Timestamp < s.length {
		return s.early(r)
	}
	return s.inOrder(r)
}

// has reports whether the store has a window of the key that begins at start.
func (s *sliding[K, V, A]) has(start int64) bool {
	for i := range s.found {
		if s.found[i].start == start {
			return true
		}
	}
	return false
}

// inOrder updates the windows of a record that is not early: newest first, as Kafka Streams does.
func (s *sliding[K, V, A]) inOrder(r *topology.Record[K, V]) error {
	t := r.Timestamp
	var leftSeed, rightSeed *slide[A]
	leftExists, rightExists := false, false
	previous := int64(-1) // time of the latest record before this one that shares a window with it or ended one before
	for i := len(s.found) - 1; i >= 0; i-- {
		w := &s.found[i]
		end := later(w.start, s.length)
		if end < t {
			leftSeed, previous = w, w.time
			break
		}
		switch {
		case w.start == t+1:
			rightExists = true
			continue
		case end > t:
			if rightSeed == nil {
				rightSeed = w
			}
		default: // end == t
			leftExists = true
		}
		if err := s.fold1(r, w); err != nil {
			return err
		}
		if end == t {
			if w.time >= t {
				return nil // a record of this time came before: it made all windows that there can be
			}
			previous = w.time
		}
	}
	if previous >= 0 && !s.has(previous+1) && later(previous+1, s.length) >= t {
		if err := s.begin(r, previous+1, nil); err != nil {
			return err
		}
	}
	if !leftExists {
		seed := leftSeed
		if previous < 0 || t-s.length > previous {
			seed = nil
		}
		if err := s.begin(r, t-s.length, seed); err != nil {
			return err
		}
	}
	if !rightExists && rightSeed != nil && rightSeed.time > t {
		return s.copyRight(r, rightSeed)
	}
	return nil
}

// early updates the windows of a record whose own window would begin before time does: such records share the window from 0 (D-79).
func (s *sliding[K, V, A]) early(r *topology.Record[K, V]) error {
	t := r.Timestamp
	var combined, rightSeed *slide[A]
	rightExists := false
	previous := int64(-1)
	for i := range s.found {
		w := &s.found[i]
		switch {
		case w.start == 0:
			combined = w
			if w.time < t {
				previous = w.time
			}
		case w.start <= t:
			rightSeed = w
			if err := s.fold1(r, w); err != nil {
				return err
			}
		case w.start == t+1:
			rightExists = true
		}
	}
	// If no window begins between 0 and t, the combined one holds later records only, if it holds some that are later.
	if rightSeed == nil && combined != nil && combined.time > t {
		rightSeed = combined
	}
	if !rightExists && rightSeed != nil && rightSeed.time > t {
		if err := s.copyRight(r, rightSeed); err != nil {
			return err
		}
	}
	if previous >= 0 && !s.has(previous+1) {
		if err := s.begin(r, previous+1, nil); err != nil {
			return err
		}
	}
	if combined == nil {
		return s.begin(r, 0, nil)
	}
	return s.fold1(r, combined)
}

// isOpen reports whether the window that begins at start takes records; one that does not is counted.
func (s *sliding[K, V, A]) isOpen(start int64) bool {
	if later(start, s.length) >= s.closed {
		return true
	}
	s.env.drop(topology.ReasonLate)
	return false
}

// fold1 folds the record into a window that there is.
func (s *sliding[K, V, A]) fold1(r *topology.Record[K, V], w *slide[A]) error {
	if !s.isOpen(w.start) {
		return nil
	}
	at, err := s.rows.At(r.Key, w.start)
	if err != nil {
		return err
	}
	return foldAt(s, r, w.start, at)
}

// foldAt folds the record into the window that begins at start, whose place is at.
func foldAt[E entry[A], K, V, A any](s *sliding[K, V, A], r *topology.Record[K, V], start int64, at E) error {
	if !s.spec.Uncached || s.spec.OnClose {
		return update(at, s.fold, r)
	}
	c, t, err := updateNow(at, s.spec, s.fold, r)
	if err != nil {
		return err
	}
	return s.forward(r.Key, start, c, t, r.Headers)
}

// begin makes a new window that holds the record, and what seed holds if it is not nil.
func (s *sliding[K, V, A]) begin(r *topology.Record[K, V], start int64, seed *slide[A]) error {
	if !s.isOpen(start) {
		return nil
	}
	at, err := s.rows.At(r.Key, start)
	if err != nil {
		return err
	}
	if seed != nil {
		s.begun = seeded[K, A]{WindowEntry: at, rows: s.rows, key: r.Key, seed: seed}
		return foldAt(s, r, start, &s.begun)
	}
	return foldAt(s, r, start, anew[K, A]{at}) // this record may have made it just now, as the window after the previous record
}

// seeded is the place of a new window that begins with what another one holds. Nothing is written before the record is folded in,
// which may fail.
type seeded[K, A any] struct {
	state.WindowEntry[K, A]
	rows    *state.Window[K, A]
	key     K
	seed    *slide[A] // its value is ours: it was read as a copy
	written bool
}

func (s *seeded[K, A]) Value() (A, bool) { return s.seed.value, true }
func (s *seeded[K, A]) Timestamp() int64 { return -1 }

func (s *seeded[K, A]) Copy() (A, bool, error) {
	if s.written {
		return s.WindowEntry.Copy()
	}
	v, _, ok, err := s.rows.Get(s.key, s.seed.start)
	return v, ok, err
}

func (s *seeded[K, A]) Set(v A, timestamp int64, h serde.Headers) error {
	s.written = true
	return s.WindowEntry.Set(v, timestamp, h)
}

func (s *seeded[K, A]) SetShared(v A, timestamp int64, h serde.Headers) error {
	s.written = true
	return s.WindowEntry.SetShared(v, timestamp, h)
}

// copyRight makes the window that begins right after the record: it holds what seed did before the record was folded in.
func (s *sliding[K, V, A]) copyRight(r *topology.Record[K, V], seed *slide[A]) error {
	start := r.Timestamp + 1
	at, err := s.rows.At(r.Key, start)
	if err != nil {
		return err
	}
	if err := at.SetShared(seed.value, seed.time, r.Headers); err != nil {
		return err
	}
	if !s.spec.Uncached || s.spec.OnClose {
		return nil
	}
	v, _, err := at.Copy()
	if err != nil {
		return err
	}
	return s.forward(r.Key, start, state.Change[A]{New: serde.Some(v), Latest: true}, seed.time, r.Headers)
}

func (s *sliding[K, V, A]) forward(k K, start int64, c state.Change[A], t int64, h serde.Headers) error {
	r := topology.NewRecord(window.Windowed[K]{Key: k, Start: start, End: window.End(start, s.length)}, c, t)
	r.Headers = h
	s.down(r)
	return nil
}

// emitClosed emits the windows that have closed since the last time, by start and key (D-87).
func (s *sliding[K, V, A]) emitClosed(r *topology.Record[K, V]) error {
	first := int64(0)
	if *s.closing.last >= 0 {
		first = max(0, *s.closing.last-s.length)
	}
	newest, ok := s.rows.Newest()
	if !s.closing.due(s.closed, ok && newest >= first && *s.time-s.rows.Retention()+1 > first) {
		return nil
	}
	if err := emitWindows(s.rows, first, s.closed-s.length-1, s.length, r.Headers, s.down); err != nil {
		return err
	}
	s.closing.emitted(s.closed)
	return nil
}
