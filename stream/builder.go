package stream

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/topology"
)

// Builder collects the streams, tables and stores of one program. It stands for Kafka Streams' StreamsBuilder. It belongs to one
// goroutine, and everything that is made from it must be used with it alone.
type Builder struct {
	plan    *plan.Graph
	handles *topology.Builder // makes the typed handles of stores that are added by hand
	built   *topology.Topology

	uncached, optimized, headers bool
}

// BuilderOption is an option of [NewBuilder]: it holds for the whole program.
type BuilderOption func(*Builder)

// Uncached makes every table and aggregation forward each update as it comes, as Kafka Streams does with a cache of no bytes. By
// default there is at most one change per key and commit. It costs a record downstream for each update; use it where somebody
// needs to see every step, for one operator by [Store.Uncached].
func Uncached() BuilderOption { return func(b *Builder) { b.uncached = true } }

// KeepHeaders gives the stores of all tables, aggregations and suppressions the format that holds headers beside value and time; for one of them
// there is [Store.With] and state.KeepHeaders. What operators write has no headers, since it comes of many records: results have those of the
// change, as ever. A delete in a changelog has those of the record that deleted, and a suppression knows headers and time of the old rows that
// it holds back too. Versioned stores and those of joins stay as they are.
//
// It may be switched on for a program that has run without it, and off again: each such store is rebuilt once, from its changelog, which is the
// same in both. It stands for Kafka Streams' dsl.store.format=headers (KIP-1271, KIP-1285).
func KeepHeaders() BuilderOption { return func(b *Builder) { b.headers = true } }

// ExplicitNames refuses a program in which a store, a changelog or a repartition topic has a generated name: such names change when
// operators are added before them, and what they name is state. It stands for Kafka Streams'
// ensure.explicit.internal.resource.naming (KIP-1111).
func ExplicitNames() BuilderOption { return func(b *Builder) { b.plan.RequireNames() } }

// Optimized lets the builder save stores and topics where results stay the same:
//
//   - A stream that is joined with itself has one store in place of two.
//   - A table that is read from a topic has no changelog besides: its store is restored from the topic, which must be compacted, or kept for
//     ever. That holds for tables without [Timestamps] whose store is not versioned. No standbys are kept of such a store: it is
//     read when its task starts.
//   - Several operators that need a repartition topic below one operator that changes keys share one, which is called as the first of
//     them would be. Filter, Peek and Split between come to lie behind it; an operator that changes values keeps topics apart, and so
//     does [KStream.Repartition].
//
// It stands for Kafka Streams' topology.optimization; switched on for a program that has run without it, it leaves the topics behind that
// are not needed any more: let what is in them be processed before, and remove them.
func Optimized() BuilderOption {
	return func(b *Builder) {
		b.optimized = true
		b.plan.MergeRepartitions()
		b.plan.ReuseSources()
	}
}

// NewBuilder returns an empty builder.
func NewBuilder(opts ...BuilderOption) *Builder {
	b := &Builder{plan: plan.New(), handles: topology.NewBuilder()}
	for _, o := range opts {
		o(b)
	}
	return b
}

// Topology returns what to run. It reports every fault of the program at once. Nothing can be added afterwards; called
// again it returns the same topology.
func (b *Builder) Topology() (*topology.Topology, error) {
	if b.built != nil {
		return b.built, nil
	}
	t, err := b.plan.Topology()
	if err != nil {
		return nil, err
	}
	b.built = t
	return t, nil
}

// From reads a topic as a stream. The records' event time is the time that the log holds unless [Timestamps] says
// otherwise. A stream may be used any number of times. Read again, with the same types, a topic gives the same stream; a topic that is read
// with others ([FromTopics]), or as a table, cannot be read once more. It stands for Kafka Streams' StreamsBuilder.stream.
func From[K, V any](b *Builder, topic string, key serde.Serde[K], value serde.Serde[V], opts ...SourceOption[K, V]) KStream[K, V] {
	return FromTopics(b, []string{topic}, key, value, opts...)
}

// FromTopics is [From] for several topics, whose records come as one stream: in the order of event time within a task, as far as it is known.
// A task reads the same partition of each topic; joined with another stream, each topic must have as many partitions as that.
func FromTopics[K, V any](b *Builder, topics []string, key serde.Serde[K], value serde.Serde[V], opts ...SourceOption[K, V]) KStream[K, V] {
	return source(b, key, value, opts, func(name string, opts []topology.SourceOption[K, V]) *topology.Node {
		b.require(name, len(topics) > 0, "it is given no topics")
		return topology.NewSource(name, slices.Clone(topics), key, value, opts...)
	})
}

// FromPattern is [FromTopics] for all topics whose names the expression matches as a whole, those that are made later too: such a topic is
// noticed half a minute after its creation at the latest, and read from its start unless [OffsetReset] says otherwise. Internal topics of the application and of the log are left
// out. A topic that the program reads by its name, or by another pattern, must not be matched.
//
// There are as many tasks as the largest topic has partitions, and the stores and repartition topics below as many partitions. So what matches later
// must not be larger where there are such: the application would stop, and say so. As long as no topic matches, nothing is done.
// It stands for Kafka Streams' StreamsBuilder.stream(Pattern).
func FromPattern[K, V any](b *Builder, expression *regexp.Regexp, key serde.Serde[K], value serde.Serde[V], opts ...SourceOption[K, V]) KStream[K, V] {
	return source(b, key, value, opts, func(name string, opts []topology.SourceOption[K, V]) *topology.Node {
		if expression == nil {
			b.require(name, false, "the expression is nil")
			return topology.NewSource(name, nil, key, value, opts...)
		}
		return topology.NewPatternSource(name, expression, key, value, opts...)
	})
}

// source adds what newNode makes, or finds the source of the same topics that is there.
func source[K, V any](
	b *Builder, key serde.Serde[K], value serde.Serde[V], opts []SourceOption[K, V],
	newNode func(name string, opts []topology.SourceOption[K, V]) *topology.Node,
) KStream[K, V] {
	var c sourceConfig[K, V]
	for _, o := range opts {
		o(&c)
	}
	name := b.plan.Name(c.name, plan.Source)
	b.require(name, key != nil, "the key serde is nil")
	b.require(name, value != nil, "the value serde is nil")
	node, shared := b.plan.ShareSource(newNode(name, c.source), fmt.Sprintf("%T, %T", key, value))
	b.require(name, !shared || len(c.source) == 0, "its topics are read already, by another source: give Timestamps and OffsetReset to the first")
	return KStream[K, V]{b: b, node: node, key: key, value: value}
}

// AddStore adds a store for processors to use, see [Process] and [Stores]. S is the type of the layer that spec opens, such as
// *state.KeyValue[string, int64].
func AddStore[S state.Layer](b *Builder, spec *state.Spec) topology.Store[S] {
	b.plan.AddStore(spec)
	return topology.AddStore[S](b.handles, spec)
}

// AddReadOnlyStore adds a store with the rows of a topic, which is its changelog: the last record of each key, for processors to read ([Process],
// [Stores]) and nobody to write. The topic should be partitioned as the streams of those processors are; see [topology.AddReadOnlyStore].
func AddReadOnlyStore[K, V any](b *Builder, name, topic string, key serde.Serde[K], value serde.Serde[V]) topology.ReadOnlyStore[K, V] {
	b.require(name, key != nil, "the key serde is nil")
	b.require(name, value != nil, "the value serde is nil")
	source, fill, store := topology.NewReadOnlyStore(name, topic, key, value)
	source.Name = b.plan.Suffixed(name, "-source", plan.Source)
	fill.Name = b.plan.Name(name, plan.TableSource)
	b.plan.Add(fill, b.plan.AddSource(source))
	b.plan.AddStore(store.Spec())
	return store
}

// addStore adds the store of an operator.
func (b *Builder) addStore(spec *state.Spec) {
	if b.headers && spec.Kind.MayKeepHeaders() {
		spec.KeepsHeaders = true
	}
	b.plan.AddStore(spec)
}

// require records a fault of a node unless ok.
func (b *Builder) require(node string, ok bool, fault string) {
	if !ok {
		b.plan.Fail("node %s: %w", node, errors.New(fault))
	}
}

// step resolves the options of an operator of one node and names it.
func (b *Builder) step(prefix string, opts []StepOption) string {
	var c stepConfig
	for _, o := range opts {
		o.step(&c)
	}
	return b.plan.Name(c.take(b), prefix)
}
