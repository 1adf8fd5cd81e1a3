package operator

import (
	"cmp"
	"slices"
)

// closing is what an aggregation that emits windows when they close knows in one task (D-87, D-88).
type closing struct {
	env      env
	interval int64  // wall-clock milliseconds between two looks
	next     int64  // wall clock
	last     *int64 // the time up to which windows that closed have been emitted, kept across restarts; -1: none yet
}

// newClosing returns nil for an aggregation that emits its updates.
func newClosing(e env, st *Store) *closing {
	if !st.OnClose {
		return nil
	}
	return &closing{env: e, interval: st.EmitInterval, next: e.scope.Now() + st.EmitInterval, last: e.scope.LastClose(st.Name)}
}

// due reports whether windows are to be looked for that have closed up to a time. It is false if the last look is less than the
// interval ago, unless now is given because the store would lose windows, and if time has not moved.
func (c *closing) due(closed int64, now bool) bool {
	wall := c.env.scope.Now()
	if wall < c.next && !now {
		return false
	}
	c.next = wall + c.interval
	return closed > *c.last && closed >= 0
}

// emitted notes that all windows which had closed by then have been emitted.
func (c *closing) emitted(closed int64) { *c.last = closed }

// span is where a window lies, and its place in a list.
type span struct {
	start, end int64
	place      int
}

// inOrder sorts windows by end, start and place. Places are sorted and not the windows themselves, so that programs hold one copy of
// the sort, not one for each type of window.
func inOrder(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.start, b.start), cmp.Compare(a.place, b.place))
	})
	return spans
}
