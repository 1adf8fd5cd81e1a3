package operator

import (
	"bytes"
	"errors"
	"strings"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/murmur3"
	"github.com/millrace-io/millrace/topology"
)

// Foreign is a foreign-key join: each row of the left table with the row of the right table whose key it holds (D-131). A left row
// sends a subscription to the partition of its foreign key; there subscriptions are stored, and answered with the right
// row, at once and whenever it changes; the answer goes back to the partition of the left row, where the result is made.
type Foreign[K, V, FK, W, R any] struct {
	Left        *Table[K, V]
	Right       *Table[FK, W]
	Extract     func(K, V) FK
	Join        func(V, serde.Maybe[W]) R
	KeepLeft    bool // a left join: a result for each left row
	Key         serde.Serde[K]
	Value       serde.Serde[V]
	ForeignKey  serde.Serde[FK]
	Store       string // of the subscriptions
	nilableFK   bool
	nilableJoin bool
}

// Subscribe is the node that sends what a change of a left row means for its subscription (D-133, D-134).
func (j *Foreign[K, V, FK, W, R]) Subscribe(name string) *topology.Node {
	j.nilableFK, j.nilableJoin = nilable[FK](), nilable[R]()
	j.Left.AskOld(true)
	j.Right.AskOld(true)
	return stateless(name, func(e env, down topology.Emit[FK, Subscription]) topology.Emit[K, state.Change[V]] {
		s := &subscriber[K, V, FK, W, R]{env: e, Foreign: j, down: down}
		return func(r topology.Record[K, state.Change[V]]) {
			if j.Left.Versioned && !r.Value.Latest {
				e.drop(topology.ReasonOutOfOrder)
				return
			}
			e.failed(s.take(&r))
		}
	})
}

type subscriber[K, V, FK, W, R any] struct {
	env env
	*Foreign[K, V, FK, W, R]
	down             topology.Emit[FK, Subscription]
	key, value, x, y []byte
}

func (s *subscriber[K, V, FK, W, R]) take(r *topology.Record[K, state.Change[V]]) error {
	before, after := r.Value.Old, r.Value.New
	if !before.Present() && !after.Present() {
		return nil
	}
	oldKey, newKey := s.foreign(r.Key, before), s.foreign(r.Key, after)
	changed := false
	if oldKey.Present() {
		var err error
		if changed, err = s.differ(oldKey, newKey); err != nil {
			return err
		}
	}
	message, err := s.message(r.Key, after)
	if err != nil {
		return err
	}
	send := func(to serde.Maybe[FK], i instruction) {
		message.instruction = i
		s.send(r, to, message)
	}
	switch {
	case s.KeepLeft:
		if changed {
			send(oldKey, deleteSilently)
		}
		send(newKey, answerAlways)
	case !newKey.Present():
		if after.Present() {
			s.env.drop(topology.ReasonNullKey)
		}
		if oldKey.Present() {
			send(oldKey, deleteAndAnswer)
		}
	case changed:
		send(oldKey, deleteSilently)
		send(newKey, answerAlways) // also without a row, which ends the former result
	default:
		send(newKey, answerIfPresent)
	}
	return nil
}

func (s *subscriber[K, V, FK, W, R]) foreign(key K, row serde.Maybe[V]) serde.Maybe[FK] {
	v, ok := row.Get()
	if !ok {
		return serde.None[FK]()
	}
	return present(s.Extract(key, v), s.nilableFK)
}

// differ reports whether two foreign keys are not the same, as bytes; an absent one differs from any.
func (s *subscriber[K, V, FK, W, R]) differ(a, b serde.Maybe[FK]) (bool, error) {
	x, _ := a.Get()
	y, ok := b.Get()
	if !ok {
		return true, nil
	}
	var errX, errY error
	s.x, errX = s.ForeignKey.Append(s.x[:0], x)
	s.y, errY = s.ForeignKey.Append(s.y[:0], y)
	return !bytes.Equal(s.x, s.y), errors.Join(errX, errY)
}

func (s *subscriber[K, V, FK, W, R]) message(key K, row serde.Maybe[V]) (m Subscription, err error) {
	if s.key, err = s.Key.Append(s.key[:0], key); err != nil {
		return m, err
	}
	m.primary, m.partition = string(s.key), s.env.scope.Partition()
	m.hash, s.value, err = hashRow(s.value, s.Value, row)
	return m, err
}

func hashRow[V any](buf []byte, value serde.Serde[V], row serde.Maybe[V]) (f fingerprint, _ []byte, err error) {
	v, ok := row.Get()
	if !ok {
		return f, buf, nil
	}
	if buf, err = value.Append(buf[:0], v); err != nil {
		return f, buf, err
	}
	return fingerprint{murmur3.Sum(buf), true}, buf, nil
}

func (s *subscriber[K, V, FK, W, R]) send(r *topology.Record[K, state.Change[V]], to serde.Maybe[FK], m Subscription) {
	fk, ok := to.Get()
	out := topology.NewRecord(fk, m, r.Timestamp)
	out.Headers = r.Headers
	if !ok {
		out = out.WithoutKey()
	}
	s.down(out)
}

// Receive is the node that stores subscriptions and ends them.
func (j *Foreign[K, V, FK, W, R]) Receive(name string) *topology.Node {
	return processor(name, []string{j.Store}, func(e env, down topology.Emit[FK, Subscription]) (topology.Emit[FK, Subscription], func() error, error) {
		subscriptions, err := store[*state.KeyValue[string, Subscription]](e, j.Store)
		if err != nil {
			return nil, nil, err
		}
		subscriptions.OmitOld()
		var buf []byte
		return func(r topology.Record[FK, Subscription]) {
			if !hasKey(&r, j.nilableFK) {
				if r.Value.instruction != answerAlways {
					e.drop(topology.ReasonNullKey)
					return
				}
				down(r)
				return
			}
			if buf, err = appendForeign(buf[:0], j.ForeignKey, r.Key); err == nil {
				buf = append(buf, r.Value.primary...)
				if r.Value.instruction == deleteSilently || r.Value.instruction == deleteAndAnswer {
					err = subscriptions.Delete(string(buf), r.Timestamp, r.Headers)
				} else {
					err = subscriptions.Put(string(buf), r.Value, r.Timestamp, r.Headers)
				}
			}
			if err != nil {
				e.failed(err)
				return
			}
			down(r)
		}, nil, nil
	})
}

// Answer is the node that answers a subscription with the right row. The time is the larger of the two (D-137).
func (j *Foreign[K, V, FK, W, R]) Answer(name string) *topology.Node {
	rows := j.Right.View()
	return processor(name, rows.Stores, func(e env, down topology.Emit[K, Response[W]]) (topology.Emit[FK, Subscription], func() error, error) {
		get, err := rows.open(e)
		if err != nil {
			return nil, nil, err
		}
		return func(r topology.Record[FK, Subscription]) { e.failed(j.answer(&r, get, down)) }, nil, nil
	})
}

func (j *Foreign[K, V, FK, W, R]) answer(r *topology.Record[FK, Subscription], get Get[FK, W], down topology.Emit[K, Response[W]]) error {
	var row serde.Maybe[W]
	t := r.Timestamp
	if hasKey(r, j.nilableFK) {
		found, at, err := get(r.Key)
		if err != nil {
			return err
		}
		if row = found; row.Present() {
			t = max(t, at)
		}
	}
	switch r.Value.instruction {
	case deleteSilently:
		return nil
	case deleteAndAnswer:
		row = serde.None[W]()
	case answerIfPresent:
		if !row.Present() {
			return nil
		}
	}
	return respond(j.Key, &r.Value, row, t, r.Headers, down)
}

func respond[K, W any](
	key serde.Serde[K], to *Subscription, row serde.Maybe[W], t int64, h serde.Headers, down topology.Emit[K, Response[W]],
) error {
	k, err := key.Decode([]byte(to.primary))
	if err != nil {
		return err
	}
	out := topology.NewRecord(k, Response[W]{hash: to.hash, row: row, partition: to.partition}, t)
	out.Headers = h
	down(out)
	return nil
}

// Notify is the node that answers every subscription to a right row which has changed, with the right row's time (D-136).
func (j *Foreign[K, V, FK, W, R]) Notify(name string) *topology.Node {
	return processor(name, []string{j.Store}, func(e env, down topology.Emit[K, Response[W]]) (topology.Emit[FK, state.Change[W]], func() error, error) {
		subscriptions, err := store[*state.KeyValue[string, Subscription]](e, j.Store)
		if err != nil {
			return nil, nil, err
		}
		var buf []byte
		return func(r topology.Record[FK, state.Change[W]]) {
			if j.Right.Versioned && !r.Value.Latest {
				e.drop(topology.ReasonOutOfOrder)
				return
			}
			if buf, err = appendForeign(buf[:0], j.ForeignKey, r.Key); err == nil {
				err = notify(subscriptions, string(buf), func(s *Subscription) error {
					return respond(j.Key, s, r.Value.New, r.Timestamp, r.Headers, down)
				})
			}
			e.failed(err)
		}, nil, nil
	})
}

// notify calls f for the subscriptions whose keys begin with prefix.
func notify(subscriptions *state.KeyValue[string, Subscription], prefix string, f func(*Subscription) error) error {
	for row, err := range subscriptions.Range(serde.Some(prefix), serde.None[string]()) {
		if err != nil || !strings.HasPrefix(row.Key, prefix) {
			return err
		}
		if err := f(&row.Value); err != nil {
			return err
		}
	}
	return nil
}

// Resolve is the node that makes results of answers. An answer to a left row that has changed since is dropped: another one is on
// its way (D-135).
func (j *Foreign[K, V, FK, W, R]) Resolve(name string) *topology.Node {
	rows := j.Left.View()
	return processor(name, rows.Stores, func(e env, down topology.Emit[K, R]) (topology.Emit[K, Response[W]], func() error, error) {
		get, err := rows.open(e)
		if err != nil {
			return nil, nil, err
		}
		var buf []byte
		return func(r topology.Record[K, Response[W]]) {
			row, _, err := get(r.Key)
			if err != nil {
				e.failed(err)
				return
			}
			var hash fingerprint
			if hash, buf, err = hashRow(buf, j.Value, row); err != nil {
				e.failed(err)
				return
			}
			if hash != r.Value.hash {
				e.drop(topology.ReasonOvertaken)
				return
			}
			down(j.result(&r, row))
		}, nil, nil
	})
}

func (j *Foreign[K, V, FK, W, R]) result(r *topology.Record[K, Response[W]], row serde.Maybe[V]) topology.Record[K, R] {
	v, ok := row.Get()
	if !ok || !j.KeepLeft && !r.Value.row.Present() {
		return topology.WithoutValueAs[R](*r)
	}
	out := topology.WithValue(*r, j.Join(v, r.Value.row))
	if j.nilableJoin {
		flag(&out, false, true)
	}
	return out
}

// ResponseSink writes answers to the partition of the left row that they go back to.
func ResponseSink[K, W any](name, topic string, key serde.Serde[K], row serde.Serde[W]) *topology.Node {
	return topology.NewSink(name, topic, key, Responses(row),
		topology.WithPartitioner(func(_ string, r *topology.Record[K, Response[W]], _ []byte, n int32) int32 {
			return r.Value.partition % n
		}))
}
