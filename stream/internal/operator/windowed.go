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
func Windowed[K, V, A any](name, storeName string, windows window.Time, fold Fold[K, V, A]) *topology.Node {
	open := func(e env, down topology.Emit[window.Windowed[K], state.Change[A]]) (topology.Emit[K, V], func() error, error) {
		s, err := store[*state.Window[K, A]](e, storeName)
		if err != nil {
			return nil, nil, err
		}
		s.OmitOld() // no table operator below asks for old values yet
		w := &windowed[K, V, A]{
			env: e, store: s, fold: fold, windows: windows,
			size: windows.Size().Milliseconds(), advance: windows.Advance().Milliseconds(), grace: windows.GracePeriod().Milliseconds(),
			nilableKey: nilable[K](), takesNull: fold.Nulls || nilable[V](), streamTime: -1,
		}
		if newest, ok := s.Newest(); ok {
			w.streamTime = newest
		}
		forward := func(k K, start int64, c state.Change[A], t int64, h serde.Headers) error {
			r := topology.NewRecord(window.Windowed[K]{Key: k, Start: start, End: window.End(start, w.size)}, c, t)
			r.Headers = h
			down(r)
			return nil
		}
		return w.take, func() error { return s.Changes(forward) }, nil
	}
	return processor(name, []string{storeName}, open)
}

type windowed[K, V, A any] struct {
	env
	store                 *state.Window[K, A]
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
		at, err := w.store.At(r.Key, start)
		if err == nil {
			err = update(at, &w.fold, &r)
		}
		if err != nil {
			_ = w.Fail(w.node, err) // the handler has decided; a refusal is sticky in the task
			return
		}
	}
}
