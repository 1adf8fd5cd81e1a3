package operator

import (
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
	open := func(e env, down topology.Emit[window.Windowed[K], state.Change[A]]) (topology.Emit[K, V], func() error, error) {
		s, err := store[*state.Window[K, A]](e, st.Name)
		if err != nil {
			return nil, nil, err
		}
		if !st.old || st.Uncached {
			s.OmitOld()
		}
		w := &windowed[K, V, A]{
			env: e, store: s, spec: st, down: down, fold: fold, windows: windows,
			size: windows.Size().Milliseconds(), advance: windows.Advance().Milliseconds(), grace: windows.GracePeriod().Milliseconds(),
			nilableKey: nilable[K](), takesNull: fold.Nulls || nilable[V](), streamTime: -1,
		}
		if newest, ok := s.Newest(); ok {
			w.streamTime = newest
		}
		if st.Uncached {
			return w.take, nil, nil
		}
		return w.take, func() error { return s.Changes(w.forward) }, nil
	}
	return processor(name, []string{st.Name}, open)
}

type windowed[K, V, A any] struct {
	env
	store                 *state.Window[K, A]
	spec                  *Store
	down                  topology.Emit[window.Windowed[K], state.Change[A]]
	fold                  Fold[K, V, A]
	windows               window.Time
	size, advance, grace  int64
	nilableKey, takesNull bool
	streamTime            int64 // -1: no record yet. At least the store's newest window start, so no window that is open here has expired there
}

func (w *windowed[K, V, A]) take(r topology.Record[K, V]) {
	if !hasKey(&r, w.nilableKey) {
		w.drop(topology.ReasonNullKey)
		return
	}
	w.streamTime = max(w.streamTime, r.Timestamp)
	closed := w.streamTime - w.grace // windows that end here or before
	// start turns negative where the next window would begin beyond the end of time.
	for start := w.windows.First(r.Timestamp); 0 <= start && start <= r.Timestamp; start += w.advance {
		if window.End(start, w.size) <= closed {
			w.drop(topology.ReasonLate)
			continue
		}
		if !w.takesNull && !r.HasValue() {
			w.drop(topology.ReasonNullValue)
			return // once for the record, not once for each window
		}
		if err := w.update(start, &r); err != nil {
			w.failed(err)
			return
		}
	}
}

func (w *windowed[K, V, A]) update(start int64, r *topology.Record[K, V]) error {
	at, err := w.store.At(r.Key, start)
	if err != nil {
		return err
	}
	if !w.spec.Uncached {
		return update(at, &w.fold, r)
	}
	c, t, err := updateNow(at, w.spec, &w.fold, r)
	if err == nil {
		err = w.forward(r.Key, start, c, t, r.Headers)
	}
	return err
}

func (w *windowed[K, V, A]) forward(k K, start int64, c state.Change[A], t int64, h serde.Headers) error {
	r := topology.NewRecord(window.Windowed[K]{Key: k, Start: start, End: window.End(start, w.size)}, c, t)
	r.Headers = h
	w.down(r)
	return nil
}
