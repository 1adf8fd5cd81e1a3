package operator

import (
	"math"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// Windowed folds the records of each key and window into a store and emits one change per window at each flush (D-86).
//
// Time is the operator's own: the highest event time among the records with a key that it has seen in this task.
// A window is updated if its end is after that time less the grace period, the record at hand included; else the record is
// left out of that window and counted as late (D-74). When a task is built anew, time begins at the start of the newest window
// that the store has seen, not unknown as in Kafka Streams: a restart does not reopen windows that the store has let go.
func Windowed[K, V, A any](name string, st *Store, windows window.Time, fold Fold[K, V, A]) *topology.Node {
	return laidOut(name, st, layout{
		first: windows.First, size: windows.Size().Milliseconds(), advance: windows.Advance().Milliseconds(),
		grace: windows.GracePeriod().Milliseconds(),
	}, fold)
}

// Unlimited folds the records of each key from a start on into one window (D-72). Those before it are left out, and not counted.
func Unlimited[K, V, A any](name string, st *Store, w window.Unlimited, fold Fold[K, V, A]) *topology.Node {
	start := w.Start()
	return laidOut(name, st, layout{size: math.MaxInt64, advance: math.MaxInt64, first: func(t int64) int64 {
		if t < start {
			return -1
		}
		return start
	}}, fold)
}

// layout says which windows there are.
type layout struct {
	first                func(t int64) int64 // start of the oldest window that holds a time, negative if there is none
	size, advance, grace int64
}

func laidOut[K, V, A any](name string, st *Store, l layout, fold Fold[K, V, A]) *topology.Node {
	open := func(e env, down topology.Emit[window.Windowed[K], state.Change[A]]) (topology.Emit[K, V], func() error, error) {
		s, err := store[*state.Window[K, A]](e, st.Name)
		if err != nil {
			return nil, nil, err
		}
		s.OmitHeaders()
		if !st.old || st.Uncached || st.OnClose {
			s.OmitOld()
		}
		w := &windowed[K, V, A]{
			env: e, store: s, spec: st, down: down, fold: fold.guarded(e), layout: l, closing: newClosing(e, st),
			nilableKey: nilable[K](), takesNull: fold.Nulls || nilable[V](), time: st.time(e, name), found: -1,
		}
		if newest, ok := s.Newest(); ok {
			w.found = newest
			if st.Shared == 0 {
				*w.time = max(*w.time, newest)
			}
		}
		if st.Uncached || st.OnClose {
			return w.take, nil, nil
		}
		return w.take, func() error { return s.Changes(w.forward) }, nil
	}
	return processor(name, []string{st.Name}, open)
}

type windowed[K, V, A any] struct {
	env   env
	store *state.Window[K, A]
	spec  *Store
	down  topology.Emit[window.Windowed[K], state.Change[A]]
	fold  *Fold[K, V, A]
	layout
	closing               *closing
	nilableKey, takesNull bool
	found                 int64  // the newest window's start that the task has found in the store, -1 if none
	time                  *int64 // stream time, -1: no record yet. At least the store's newest window start, so no window that is open here has expired there
}

func (w *windowed[K, V, A]) take(r topology.Record[K, V]) {
	if !hasKey(&r, w.nilableKey) {
		w.env.drop(topology.ReasonNullKey)
		return
	}
	*w.time = max(*w.time, r.Timestamp)
	closed := *w.time - w.grace // windows that end here or before
	if w.closing != nil {
		if err := w.emitClosed(&r, closed); err != nil {
			w.env.failed(err)
			return
		}
	}
	// start turns negative where the next window would begin beyond the end of time.
	for start := w.first(r.Timestamp); 0 <= start && start <= r.Timestamp; start += w.advance {
		if window.End(start, w.size) <= closed {
			w.env.drop(topology.ReasonLate)
			continue
		}
		if !w.takesNull && !r.HasValue() {
			w.env.drop(topology.ReasonNullValue)
			return // once for the record, not once for each window
		}
		if err := w.update(start, &r); err != nil {
			w.env.failed(err)
			return
		}
	}
}

func (w *windowed[K, V, A]) update(start int64, r *topology.Record[K, V]) error {
	at, err := w.store.At(r.Key, start)
	if err != nil {
		return err
	}
	if at.Expired() { // only where another node moves the store's time
		w.env.drop(topology.ReasonLate)
		return nil
	}
	if !w.spec.Uncached || w.spec.OnClose {
		return update(at, w.fold, r)
	}
	var c state.Change[A]
	var t int64
	if w.forgotten(start) {
		c, t, err = updateNow(anew[K, A]{at}, w.spec, w.fold, r)
	} else {
		c, t, err = updateNow(at, w.spec, w.fold, r)
	}
	if err == nil {
		err = w.forward(r.Key, start, c, t, r.Headers)
	}
	return err
}

// forgotten reports whether the store would not show the window any more, though it is open here: another node has moved the store's
// time. Without a cache, Kafka Streams then begins it anew.
func (w *windowed[K, V, A]) forgotten(start int64) bool {
	newest, ok := w.store.Newest()
	return w.spec.Shared > 0 && ok && start < newest-w.spec.Shared+1
}

// anew is the place of an aggregate that is not looked at before it is written.
type anew[K, A any] struct{ state.WindowEntry[K, A] }

func (anew[K, A]) Value() (a A, ok bool) { return a, false }
func (anew[K, A]) Timestamp() int64      { return -1 }

func (w *windowed[K, V, A]) forward(k K, start int64, c state.Change[A], t int64, h serde.Headers) error {
	r := topology.NewRecord(window.Windowed[K]{Key: k, Start: start, End: window.End(start, w.size)}, c, t)
	r.Headers = h
	w.down(r)
	return nil
}

// emitClosed emits the windows that have closed since the last time, by start and key (D-87). It comes before the record is folded in,
// whose put may make the store let go of them.
func (w *windowed[K, V, A]) emitClosed(r *topology.Record[K, V], closed int64) error {
	if !w.closing.due(closed, w.wouldLose()) {
		return nil
	}
	from, to := w.firstUnemitted(), closed-w.size
	if from <= w.found || w.begins(from, to) { // what was found may have been laid out in another way, by an earlier form of the program
		if err := emitWindows(w.store, from, to, w.size, r.Headers, w.down); err != nil {
			return err
		}
	}
	w.closing.emitted(closed)
	return nil
}

// begins reports whether a window may begin from a time on and up to another, both included: windows begin at multiples of the advance. The
// store is not asked as long as no window closes, however often time moves.
func (l *layout) begins(from, to int64) bool {
	next := (l.advance - from%l.advance) % l.advance // until the first that does
	return to-from >= next
}

// firstUnemitted returns the lowest start of a window that has not been emitted.
func (w *windowed[K, V, A]) firstUnemitted() int64 {
	if *w.closing.last < 0 {
		return 0
	}
	return max(0, *w.closing.last-w.size+1)
}

// wouldLose reports whether windows that have not been emitted would be let go by the store, whose time moves to the record's.
func (w *windowed[K, V, A]) wouldLose() bool {
	newest, ok := w.store.Newest()
	first := w.firstUnemitted()
	return ok && newest >= first && *w.time-w.store.Retention()+1 > first
}

// emitWindows emits the windows with from <= start <= to as they are, by start and key. All of them are in memory meanwhile.
func emitWindows[K, A any](
	s *state.Window[K, A], from, to, size int64, h serde.Headers, down topology.Emit[window.Windowed[K], state.Change[A]],
) error {
	var rows []state.WindowRow[K, A]
	var spans []span
	for row, err := range s.FetchAll(from, to) {
		if err != nil {
			return err
		}
		spans = append(spans, span{row.Start, window.End(row.Start, size), len(rows)})
		rows = append(rows, row)
	}
	for _, at := range inOrder(spans) {
		row := &rows[at.place]
		key := window.Windowed[K]{Key: row.Key, Start: at.start, End: at.end}
		r := topology.NewRecord(key, state.Change[A]{New: serde.Some(row.Value), Latest: true}, row.Timestamp)
		r.Headers = h
		down(r)
	}
	return nil
}
