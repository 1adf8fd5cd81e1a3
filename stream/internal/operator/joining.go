package operator

import (
	"math"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// joining is one side of a join in one task: its own values are of T, the other side's of O, which are V and W in one order or the
// other.
type joining[K, V, W, T, O, R any] struct {
	env  env
	join *StreamJoin[K, V, W, R]
	joinSpec[K, T, O, R]
	down                                    topology.Emit[K, R]
	others                                  *state.JoinWindow[K, O]
	parked                                  *state.ListValue[parkedKey[K], []byte]
	time                                    *joinTime
	grace                                   int64
	nilableKey, nilableValue, nilableResult bool

	current topology.Record[K, T] // the record that is being joined
	matched bool                  // it has met another one
	entry   []byte                // buffer of what is parked
	meet    func(O, int64) error  // bound once
	out     topology.Record[K, R] // what is emitted
}

func (s *joining[K, V, W, T, O, R]) open() (err error) {
	if s.others, err = store[*state.JoinWindow[K, O]](s.env, s.other); err != nil {
		return err
	}
	if s.join.Parked != "" {
		if s.parked, err = store[*state.ListValue[parkedKey[K], []byte]](s.env, s.join.Parked); err != nil {
			return err
		}
	}
	s.meet = s.match
	s.time, err = s.join.times.in(s.env, s.firstTime)
	return err
}

// firstTime returns the clock as a task finds it: not before what the two stores have seen.
func (s *joining[K, V, W, T, O, R]) firstTime() (joinTime, error) {
	t := joinTime{stream: s.env.scope.OperatorTime(s.join.LeftStore), parked: nothingParked, look: nothingParked}
	if s.parked != nil {
		t.nextEmit = s.env.scope.Now() + s.join.EmitInterval
	}
	for _, name := range []string{s.join.LeftStore, s.join.RightStore} {
		if kept, ok := s.env.scope.Store(name).(interface{ Newest() (int64, bool) }); ok {
			if newest, ok := kept.Newest(); ok {
				*t.stream = max(*t.stream, newest)
			}
		}
	}
	if s.parked == nil {
		return t, nil
	}
	for row, err := range s.parked.Range(serde.None[parkedKey[K]](), serde.None[parkedKey[K]]()) {
		if err != nil {
			return t, err
		}
		t.parked, t.look = row.Key.time, row.Key.time
		break
	}
	return t, nil
}

func (s *joining[K, V, W, T, O, R]) take(r topology.Record[K, T]) {
	*s.time.stream = max(*s.time.stream, r.Timestamp)
	switch {
	case !hasValue(&r, s.nilableValue):
		s.env.drop(topology.ReasonNullValue)
	case hasKey(&r, s.nilableKey):
		s.current = r
		s.env.failed(s.process())
	case s.outer:
		s.current = r
		s.forward(s.result(r.Key, r.Value, serde.None[O]()), r.Timestamp)
	default:
		s.env.drop(topology.ReasonNullKey)
	}
}

// process joins the current record: first what is due, then matches, then parking (D-107).
func (s *joining[K, V, W, T, O, R]) process() error {
	r := &s.current
	if s.parked != nil && r.Timestamp == *s.time.stream {
		if err := s.emitDue(); err != nil {
			return err
		}
	}
	s.matched = false
	from, to := max(0, r.Timestamp-s.before), max(0, later(r.Timestamp, s.after)) // time 0 stands for all that is before it, as in Kafka Streams
	if err := s.others.Each(r.Key, from, to, s.meet); err != nil {
		return err
	}
	if s.matched || !s.outer {
		return nil
	}
	if to < *s.time.stream { // its whole window has passed (D-108)
		s.forward(s.result(r.Key, r.Value, serde.None[O]()), r.Timestamp)
		return nil
	}
	return s.park()
}

// match joins the current record with one of the other side, which is not unmatched any more (D-110).
func (s *joining[K, V, W, T, O, R]) match(other O, at int64) error {
	s.matched = true
	r := &s.current
	if s.parked != nil && at >= s.time.parked {
		if _, err := s.parked.Remove(parkedKey[K]{at, !s.left, r.Key}, r.Timestamp, r.Headers); err != nil {
			return err
		}
	}
	s.forward(s.result(r.Key, r.Value, serde.Some(other)), max(r.Timestamp, at))
	return nil
}

func (s *joining[K, V, W, T, O, R]) park() error {
	r := &s.current
	entry, err := appendParked(s.entry[:0], s.left, s.value, r.Value)
	if err != nil {
		return err
	}
	s.entry = entry
	s.time.parked, s.time.look = min(s.time.parked, r.Timestamp), min(s.time.look, r.Timestamp)
	return s.parked.Add(parkedKey[K]{r.Timestamp, s.left, r.Key}, entry, r.Timestamp, r.Headers)
}

// forward emits a result with the current record's key and headers.
func (s *joining[K, V, W, T, O, R]) forward(result R, timestamp int64) {
	topology.SetValue(&s.out, &s.current, result)
	s.out.Timestamp = timestamp
	if s.nilableResult {
		flag(&s.out, false, true)
	}
	s.down(s.out)
}

// emitDue emits results for the parked records whose windows, with the grace period, have passed. It looks at most once in an
// interval of the wall clock (D-106). Results have the parked records' times, and the current record's headers (D-109).
func (s *joining[K, V, W, T, O, R]) emitDue() error {
	t := s.time
	if t.look == nothingParked || s.isOpen(t.look, s.after) {
		return nil
	}
	now := s.env.scope.Now()
	if now < t.nextEmit {
		return nil
	}
	t.nextEmit = now + s.join.EmitInterval
	look, parked := int64(nothingParked), int64(nothingParked) // the clock's once all are looked at: a joiner may fail, and what it failed on stays
	before, after := s.join.Windows.Range()
	var openLeft, openRight bool
	for row, err := range s.parked.Range(serde.None[parkedKey[K]](), serde.None[parkedKey[K]]()) {
		if err != nil {
			return err
		}
		k := row.Key
		// Not the lowest time that is left, but the last one looked at: as in Kafka Streams, where one side's open record can thus make
		// the other side's wait.
		look = k.time
		if openLeft && openRight {
			parked = min(parked, k.time)
			break
		}
		ahead := before.Milliseconds()
		if k.left {
			ahead = after.Milliseconds()
		}
		if s.isOpen(k.time, ahead) {
			parked = min(parked, k.time)
			openLeft, openRight = openLeft || k.left, openRight || !k.left
			if openLeft && openRight && row.Value.Len() > 1 {
				break // Kafka Streams looks at one value after the other: the next one is of this key
			}
			continue
		}
		if err := s.emitParked(k, row.Value); err != nil {
			return err
		}
	}
	t.look, t.parked = look, parked
	return nil
}

// isOpen reports whether a record of that time, which is to wait for those that are ahead of it, may still meet one.
func (s *joining[K, V, W, T, O, R]) isOpen(at, ahead int64) bool {
	return later(later(at, ahead), s.grace) >= *s.time.stream
}

// emitParked emits the results of one list of parked values, and takes it out.
func (s *joining[K, V, W, T, O, R]) emitParked(k parkedKey[K], list state.List[[]byte]) error {
	for entry, err := range list.All() {
		if err == nil {
			entry, err = parkedValue(entry)
		}
		if err == nil {
			err = s.emitAlone(k, entry)
		}
		if err != nil {
			return err
		}
	}
	_, err := s.parked.Remove(k, s.current.Timestamp, s.current.Headers)
	return err
}

// emitAlone emits the result of one parked value.
func (s *joining[K, V, W, T, O, R]) emitAlone(k parkedKey[K], value []byte) error {
	var left serde.Maybe[V]
	var right serde.Maybe[W]
	if k.left {
		v, err := s.join.LeftValue.Decode(value)
		if err != nil {
			return err
		}
		left = serde.Some(v)
	} else {
		w, err := s.join.RightValue.Decode(value)
		if err != nil {
			return err
		}
		right = serde.Some(w)
	}
	r := topology.WithKey(s.current, k.key)
	topology.SetValue(&s.out, &r, s.join.Join(k.key, left, right))
	s.out.Timestamp = k.time
	if s.nilableResult {
		flag(&s.out, false, true)
	}
	s.down(s.out)
	return nil
}

// later returns t + d, or the end of time.
func later(t, d int64) int64 {
	if sum := t + d; d < 0 || sum >= t {
		return sum
	}
	return math.MaxInt64
}
