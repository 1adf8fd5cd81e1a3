package operator

import (
	"math"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// StreamJoin is a join of two streams: what its nodes share. Each side has a node that keeps its records (Keep) and one that
// looks up those of the other side (Left, Right).
//
// A record first meets the records of the other side that lie in its window, in the order of their times, with a result for
// each (D-101). Its time is the later of the two; headers are those of the record that came last. Records with a null key or a null value are
// dropped (D-102), except that an outer side's null key has a result at once (D-111). A late record still meets whatever is kept
// (D-103).
//
// A record of an outer side without a match is parked, and has a result without the other side once its window and the grace
// period have passed in the stream time that both sides share (D-104 to D-110).
type StreamJoin[K, V, W, R any] struct {
	Windows      window.Join
	LeftStore    string // of the left side's records
	RightStore   string
	Parked       string // of records without a match; empty: an inner join
	Outer        bool   // the right side has results without a match too
	EmitInterval int64  // wall-clock milliseconds between two looks at what is parked (D-106)
	Key          serde.Serde[K]
	LeftValue    serde.Serde[V]
	RightValue   serde.Serde[W]
	Join         func(key K, left serde.Maybe[V], right serde.Maybe[W]) R

	times perTask[joinTime]
}

// ParkedSpec declares the store of parked records.
func (j *StreamJoin[K, V, W, R]) ParkedSpec(opts ...state.SpecOption) *state.Spec {
	return state.ListValueSpec[parkedKey[K], []byte](j.Parked, parkedKeys[K]{j.Key}, serde.Bytes, opts...)
}

// joinTime is the clock of a join in one task.
type joinTime struct {
	stream   *int64 // highest event time of both sides, -1 if none
	parked   int64  // no parked record is older
	look     int64  // no look at the parked records before a window of this time has closed, see emitDue
	nextEmit int64  // wall clock
}

const nothingParked = math.MaxInt64

// Keep makes the node that keeps one side's records in a store and passes them on.
func Keep[K, V any](name, storeName string) *topology.Node {
	return processor(name, []string{storeName}, func(e env, down topology.Emit[K, V]) (topology.Emit[K, V], func() error, error) {
		s, err := store[*state.JoinWindow[K, V]](e, storeName)
		if err != nil {
			return nil, nil, err
		}
		nilableKey, nilableValue := nilable[K](), nilable[V]()
		return func(r topology.Record[K, V]) {
			var err error
			switch {
			case !hasKey(&r, nilableKey):
			case !hasValue(&r, nilableValue):
				s.Null()
			default:
				err = s.Add(r.Key, r.Value, r.Timestamp, r.Headers)
			}
			if err != nil {
				e.failed(err)
				return
			}
			down(r)
		}, nil, nil
	})
}

// Left makes the node that joins the left side's records.
func (j *StreamJoin[K, V, W, R]) Left(name string) *topology.Node {
	before, after := j.Windows.Range()
	return streamSide(name, j, joinSpec[K, V, W, R]{
		left: true, outer: j.Parked != "", other: j.RightStore, before: before.Milliseconds(), after: after.Milliseconds(), value: j.LeftValue,
		result: func(k K, this V, other serde.Maybe[W]) R { return j.Join(k, serde.Some(this), other) },
	})
}

// Right makes the node that joins the right side's records.
func (j *StreamJoin[K, V, W, R]) Right(name string) *topology.Node {
	before, after := j.Windows.Range()
	return streamSide(name, j, joinSpec[K, W, V, R]{
		outer: j.Outer, other: j.LeftStore, before: after.Milliseconds(), after: before.Milliseconds(), value: j.RightValue,
		result: func(k K, this W, other serde.Maybe[V]) R { return j.Join(k, other, serde.Some(this)) },
	})
}

// joinSpec is a join as one of its sides sees it: this side has values of T, the other one of O.
type joinSpec[K, T, O, R any] struct {
	left, outer   bool
	other         string
	before, after int64
	value         serde.Serde[T]
	result        func(K, T, serde.Maybe[O]) R
}

func streamSide[K, V, W, T, O, R any](name string, j *StreamJoin[K, V, W, R], spec joinSpec[K, T, O, R]) *topology.Node {
	stores := []string{spec.other}
	if j.Parked != "" {
		stores = append(stores, j.Parked)
	}
	return processor(name, stores, func(e env, down topology.Emit[K, R]) (topology.Emit[K, T], func() error, error) {
		s := &joining[K, V, W, T, O, R]{
			env: e, join: j, joinSpec: spec, down: down, grace: j.Windows.GracePeriod().Milliseconds(),
			nilableKey: nilable[K](), nilableValue: nilable[T](), nilableResult: nilable[R](),
		}
		if err := s.open(); err != nil {
			return nil, nil, err
		}
		return s.take, nil, nil
	})
}
