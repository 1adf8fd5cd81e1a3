package topology

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// ReadOnlyStore is the handle of a store that a topic fills and processors only read.
type ReadOnlyStore[K, V any] struct {
	store Store[*state.KeyValue[K, V]]
}

// Name returns the store's name.
func (h ReadOnlyStore[K, V]) Name() string { return h.store.Name() }

func (h ReadOnlyStore[K, V]) storeSpec() *state.Spec { return h.store.spec }

// In returns the store of the task that ctx belongs to, as Store.In does.
func (h ReadOnlyStore[K, V]) In(ctx StoreContext) (state.ReadOnly[K, V], error) {
	s, err := h.store.In(ctx)
	if err != nil {
		return state.ReadOnly[K, V]{}, err
	}
	return s.ReadOnly(), nil
}

// AddReadOnlyStore adds a key-value store with the rows of a topic: the last record of a key is its row, one with a null value deletes it, one with a
// null key is dropped and counted. The topic is the store's changelog, so it must be compacted, or kept for ever: there is no other, and a task
// that starts without its state reads it from there. A processor that is given the handle reads the partition of the topic that its task works
// on; so the topic should be partitioned as what the processor reads beside it, by the same keys.
//
// The name is that of the store and of the node that fills it. There is no code of the user's in between, which a restore would pass by. It
// stands for Kafka Streams' Topology.addReadOnlyStateStore (KIP-813).
func AddReadOnlyStore[K, V any](b *Builder, name, topic string, key serde.Serde[K], value serde.Serde[V]) ReadOnlyStore[K, V] {
	source, fill, h := NewReadOnlyStore(name, topic, key, value)
	AddStore[*state.KeyValue[K, V]](b, h.storeSpec())
	b.Connect(b.Add(source), b.Add(fill), 0)
	return h
}

// NewReadOnlyStore returns the parts of a read-only store, not yet part of a topology: the source, the node below it that fills the store, and
// the handle. The store's spec is a part too, see ReadOnlyStore.Spec.
func NewReadOnlyStore[K, V any](name, topic string, key serde.Serde[K], value serde.Serde[V]) (source, fill *Node, h ReadOnlyStore[K, V]) {
	spec := state.KeyValueSpec(name, key, value)
	spec.SourceTopic, spec.Row = topic, RowOf(key, value, value)
	h.store = Store[*state.KeyValue[K, V]]{spec: spec}
	source = NewSource(name+"-source", []string{topic}, key, value)
	fill = NewProcessor[*filler[K, V], K, V, K, V](name, func() *filler[K, V] { return &filler[K, V]{store: h.store} })
	fill.Stores = []string{name}
	return source, fill, h
}

// Spec returns what declares the store.
func (h ReadOnlyStore[K, V]) Spec() *state.Spec { return h.store.spec }

// filler puts the records of a topic into the store whose changelog the topic is.
type filler[K, V any] struct {
	store    Store[*state.KeyValue[K, V]]
	rows     *state.KeyValue[K, V]
	ctx      *Context[K, V]
	nilKey   func(K) bool // nil: K has no nil
	nilValue func(V) bool
}

func (f *filler[K, V]) Init(ctx *Context[K, V]) (err error) {
	f.ctx, f.nilKey, f.nilValue = ctx, nilTest[K](), nilTest[V]()
	f.rows, err = f.store.In(ctx)
	return err
}

func (f *filler[K, V]) Process(r Record[K, V]) error {
	switch {
	case !r.HasKey() || f.nilKey != nil && f.nilKey(r.Key):
		f.ctx.Drop(ReasonNullKey, nil)
		return nil
	case !r.HasValue() || f.nilValue != nil && f.nilValue(r.Value):
		return f.rows.Delete(r.Key, r.Timestamp, Headers{})
	}
	return f.rows.Put(r.Key, r.Value, r.Timestamp, Headers{})
}

func (f *filler[K, V]) Close() error { return nil }

// RowOf tells what a table makes of a record of the topic that it is read from, where that topic stands for the changelog of its store
// (X-24, D-05): the row as the store writes it, whose values have the serde stored, with a nil value for a delete. It is not ok where the
// record is left out: without a key or a time, or if it cannot be decoded. It is for layers above, such as the DSL, that make such tables.
func RowOf[K, V any](ks serde.Serde[K], vs, stored serde.Serde[V]) func(key, value []byte, timestamp int64) (k, v []byte, ok bool) {
	nilKey, nilValue := nilTest[K](), nilTest[V]()
	return func(key, value []byte, timestamp int64) (k, v []byte, ok bool) {
		if key == nil || timestamp < 0 {
			return nil, nil, false
		}
		row, err := ks.Decode(key)
		if err != nil || nilKey != nil && nilKey(row) {
			return nil, nil, false
		}
		if k, err = ks.Append(nil, row); err != nil { // others may have written the key in another way
			return nil, nil, false
		}
		if value == nil {
			return present(k), nil, true
		}
		decoded, err := vs.Decode(value)
		if err != nil {
			return nil, nil, false
		}
		if nilValue != nil && nilValue(decoded) {
			return present(k), nil, true
		}
		if v, err = stored.Append(nil, decoded); err != nil {
			return nil, nil, false
		}
		return present(k), present(v), true
	}
}
