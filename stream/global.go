package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/topology"
)

// GlobalKTable is a table of which every instance holds all partitions, so that any key can be looked up from any task. It
// is filled before the first record is processed and changes beside the processing from then on: a look-up has no
// notion of time.
type GlobalKTable[K, V any] struct {
	b     *Builder
	store string
}

// GlobalTableOption is an option of [GlobalTable].
type GlobalTableOption interface{ globalTable(*globalTableConfig) }

type globalTableConfig struct{ store string }

// StoreName names a store. It is made by [StoreNamed].
type StoreName struct{ name string }

// StoreNamed gives a table a store of that name, with the table's own serdes: [Materialized] where nothing but the name is to be
// said.
func StoreNamed(name string) StoreName { return StoreName{name} }

func (n StoreName) globalTable(c *globalTableConfig) { c.store = n.name }
func (n StoreName) table(c *tableConfig)             { c.stores = append(c.stores, n) }

// GlobalTable reads a topic as a global table: the last record of a key counts, one with a null value deletes, one with a
// null key is dropped. The topic should be compacted; it is read from its start by every instance.
func GlobalTable[K, V any](b *Builder, topic string, key serde.Serde[K], value serde.Serde[V], opts ...GlobalTableOption) GlobalKTable[K, V] {
	var c globalTableConfig
	for _, o := range opts {
		o.globalTable(&c)
	}
	store := b.plan.StoreName(c.store, topic+"-")
	source := b.plan.Name("", plan.Source)
	name := b.plan.Name("", plan.TableSource)
	b.require(name, key != nil, "the key serde is nil")
	b.require(name, value != nil, "the value serde is nil")
	table := topology.GlobalTable{Name: name, Source: source, Topic: topic, Store: store}
	b.plan.AddGlobal(table, state.GlobalSpec(store, key, value))
	return GlobalKTable[K, V]{b: b, store: store}
}

// AddGlobalStore adds a store that a processor of the user's fills from all partitions of a topic, in every instance: what the topic's records
// have to become before others look them up. Processors read it ([topology.Store.In]) without being given it by [Stores]; they must not write it. It is filled before the
// first record is processed, by running all records of the topic through the processor at every start, and follows the topic from then on.
//
// An error or a panic of the processor stops the instance, unless runtime.Config.GlobalProcessing lets it pass. spec is made by state.GlobalSpec.
// It stands for Kafka Streams' StreamsBuilder.addGlobalStore.
func AddGlobalStore[P topology.GlobalProcessor[S, K, V], S state.GlobalLayer, K, V any](
	b *Builder, spec *state.Spec, topic string, key serde.Serde[K], value serde.Serde[V], newProcessor func() P, opts ...SourceOption[K, V],
) topology.Store[S] {
	var c sourceConfig[K, V]
	for _, o := range opts {
		o(&c)
	}
	source := b.plan.Suffixed(c.name, "-source", plan.Source)
	name := b.plan.Name(c.name, plan.TableSource)
	b.require(name, key != nil, "the key serde is nil")
	b.require(name, value != nil, "the value serde is nil")
	b.require(name, newProcessor != nil, "the constructor of its processor is nil")
	g := topology.NewGlobalStore[P, S](name, topic, key, value, newProcessor, c.source...)
	g.Source, g.Store = source, spec.Name
	b.plan.AddGlobal(g, spec)
	return topology.AddStore[S](b.handles, spec)
}

// JoinGlobal joins each record of a stream with the row of t that key selects, and drops records for which there is none. The
// result has the stream record's key, time and headers. Only the stream side triggers; no co-partitioning is needed.
func JoinGlobal[K, V, GK, GV, R any](
	s KStream[K, V], t GlobalKTable[GK, GV], key func(key K, value V) GK, join func(value V, row GV) R, opts ...StepOption,
) KStream[K, R] {
	name := s.joinGlobal(t.b, key != nil, join != nil, opts)
	node := operator.JoinGlobal(name, t.store, key, func(_ K, v V, row GV) R { return join(v, row) })
	return then(s, node, serde.Serde[R](nil))
}

// JoinGlobalWithKey is [JoinGlobal] with a joiner that sees the stream record's key as well.
func JoinGlobalWithKey[K, V, GK, GV, R any](
	s KStream[K, V], t GlobalKTable[GK, GV], key func(key K, value V) GK, join func(key K, value V, row GV) R, opts ...StepOption,
) KStream[K, R] {
	name := s.joinGlobal(t.b, key != nil, join != nil, opts)
	return then(s, operator.JoinGlobal(name, t.store, key, join), serde.Serde[R](nil))
}

// LeftJoinGlobal is [JoinGlobal] with a result for every record that has a value: where the table has no row for the key,
// or the selected key is null, row is absent.
func LeftJoinGlobal[K, V, GK, GV, R any](
	s KStream[K, V], t GlobalKTable[GK, GV], key func(key K, value V) GK, join func(value V, row serde.Maybe[GV]) R, opts ...StepOption,
) KStream[K, R] {
	name := s.joinGlobal(t.b, key != nil, join != nil, opts)
	node := operator.LeftJoinGlobal(name, t.store, key, func(_ K, v V, row serde.Maybe[GV]) R { return join(v, row) })
	return then(s, node, serde.Serde[R](nil))
}

// LeftJoinGlobalWithKey is [LeftJoinGlobal] with a joiner that sees the stream record's key as well.
func LeftJoinGlobalWithKey[K, V, GK, GV, R any](
	s KStream[K, V], t GlobalKTable[GK, GV], key func(key K, value V) GK, join func(key K, value V, row serde.Maybe[GV]) R, opts ...StepOption,
) KStream[K, R] {
	name := s.joinGlobal(t.b, key != nil, join != nil, opts)
	return then(s, operator.LeftJoinGlobal(name, t.store, key, join), serde.Serde[R](nil))
}

// joinGlobal names a join with a global table and checks what it is given.
func (s KStream[K, V]) joinGlobal(table *Builder, key, join bool, opts []StepOption) string {
	name := s.b.step(plan.GlobalJoin, opts)
	s.b.require(name, table == s.b, "a global table of another builder is given to it")
	s.b.require(name, key, "the key function is nil")
	s.b.require(name, join, "the joiner is nil")
	return name
}
