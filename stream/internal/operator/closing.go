package operator

// closing is what an aggregation that emits windows when they close knows in one task (D-87, D-88): the time up to which it has
// emitted them, which the task keeps across restarts if it can.
type closing struct {
	env
	store    string
	interval int64 // wall-clock milliseconds between two looks
	next     int64 // wall clock
	last     int64 // -1: nothing has been emitted yet
}

// operatorTimes is a Scope that keeps times of operators across restarts, with the offsets that it commits.
type operatorTimes interface {
	OperatorTime(store string) (timestamp int64, ok bool)
	SetOperatorTime(store string, timestamp int64)
}

// newClosing returns nil for an aggregation that emits its updates.
func newClosing(e env, st *Store) *closing {
	if !st.OnClose {
		return nil
	}
	c := &closing{env: e, store: st.Name, interval: st.EmitInterval, last: -1}
	c.next = e.Now() + c.interval
	if times, ok := e.Scope.(operatorTimes); ok {
		if t, ok := times.OperatorTime(c.store); ok {
			c.last = t
		}
	}
	return c
}

// due reports whether windows are to be looked for that have closed up to a time. It is false if the last look is less than the
// interval ago, unless now is given because the store would lose windows, and if time has not moved.
func (c *closing) due(closed int64, now bool) bool {
	wall := c.Now()
	if wall < c.next && !now {
		return false
	}
	c.next = wall + c.interval
	return closed > c.last && closed >= 0
}

// emitted notes that all windows which had closed by then have been emitted.
func (c *closing) emitted(closed int64) {
	c.last = closed
	if times, ok := c.Scope.(operatorTimes); ok {
		times.SetOperatorTime(c.store, closed)
	}
}
