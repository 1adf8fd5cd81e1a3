package topology

import (
	"reflect"

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
	spec.SourceTopic, spec.Row = topic, rowOf(key, value)
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
	store Store[*state.KeyValue[K, V]]
	rows  *state.KeyValue[K, V]
	ctx   *Context[K, V]
}

func (f *filler[K, V]) Init(ctx *Context[K, V]) (err error) {
	f.ctx = ctx
	f.rows, err = f.store.In(ctx)
	return err
}

func (f *filler[K, V]) Process(r Record[K, V]) error {
	switch {
	case !r.HasKey() || isNil(r.Key):
		f.ctx.Drop(ReasonNullKey, nil)
		return nil
	case !r.HasValue() || isNil(r.Value):
		return f.rows.Delete(r.Key, r.Timestamp, Headers{})
	}
	return f.rows.Put(r.Key, r.Value, r.Timestamp, Headers{})
}

func (f *filler[K, V]) Close() error { return nil }

// rowOf tells what a filler makes of a record, for a restore: the row as the store writes it.
func rowOf[K, V any](ks serde.Serde[K], vs serde.Serde[V]) func(key, value []byte, timestamp int64) (k, v []byte, ok bool) {
	return func(key, value []byte, timestamp int64) (k, v []byte, ok bool) {
		if key == nil || timestamp < 0 {
			return nil, nil, false
		}
		decoded, err := ks.Decode(key)
		if err != nil || isNil(decoded) {
			return nil, nil, false
		}
		if k, err = ks.Append(nil, decoded); err != nil { // others may have written the key in another way
			return nil, nil, false
		}
		if value == nil {
			return k, nil, true
		}
		row, err := vs.Decode(value)
		if err != nil {
			return nil, nil, false
		}
		if isNil(row) {
			return k, nil, true
		}
		return k, value, true
	}
}

// isNil reports whether v is nil, of a type that can be.
func isNil(v any) bool {
	x := reflect.ValueOf(v)
	switch x.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return x.IsNil()
	}
	return false
}
