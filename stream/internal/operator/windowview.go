package operator

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/window"
)

// WindowTable is the table of windows that an aggregation keeps in s.
func WindowTable[K, V any](s *Store) *Table[window.Windowed[K], V] {
	return windowsOf(s, func(e env) (Get[window.Windowed[K], V], error) {
		rows, err := store[*state.Window[K, V]](e, s.Name)
		return func(w window.Windowed[K]) (serde.Maybe[V], int64, error) { return maybe(rows.Get(w.Key, w.Start)) }, err
	})
}

// SessionTable is the table of sessions that an aggregation keeps in s.
func SessionTable[K, V any](s *Store) *Table[window.Windowed[K], V] {
	return windowsOf(s, func(e env) (Get[window.Windowed[K], V], error) {
		rows, err := store[*state.Session[K, V]](e, s.Name)
		return func(w window.Windowed[K]) (serde.Maybe[V], int64, error) {
			return maybe(rows.Get(w.Key, w.Start, w.End))
		}, err
	})
}

func windowsOf[K, V any](s *Store, open func(env) (Get[window.Windowed[K], V], error)) *Table[window.Windowed[K], V] {
	return &Table[window.Windowed[K], V]{
		AskOld: s.askOld,
		View: func() View[window.Windowed[K], V] {
			return View[window.Windowed[K], V]{Stores: []string{s.Name}, open: open}
		},
	}
}
