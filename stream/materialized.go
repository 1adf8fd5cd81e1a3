package stream

import (
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
)

// Store says how the result of an aggregation, or the rows of a table, are kept, for values of type V. It is made by [Materialized].
type Store[V any] struct {
	name      string
	value     serde.Serde[V]
	retention time.Duration
	uncached  bool
	history   time.Duration // of a versioned store
	versioned bool
	options   []state.SpecOption
}

// Materialized names the store of an aggregation or of a table and gives the serde of its values. The name is a contract: the
// changelog topic "<application id>-<name>-changelog" is called after it, and so is the repartition topic of a grouping
// without a name. An empty name of an aggregation is generated, and then changes with every operator that is added in front
// of it. It stands for Kafka Streams' Materialized.
func Materialized[V any](name string, value serde.Serde[V]) Store[V] {
	return Store[V]{name: name, value: value}
}

// Retention keeps windows for at least d of event time after their start, for queries; without it they are kept for their
// size and grace period, the least that is allowed.
func (m Store[V]) Retention(d time.Duration) Store[V] {
	m.retention = d
	return m
}

// Uncached makes the operator forward every update as it comes, instead of the last one of a key with each commit. The results
// are the same, there are more of them; see [Uncached] for all operators of a program.
func (m Store[V]) Uncached() Store[V] {
	m.uncached = true
	return m
}

// Versioned keeps not the last row of each key but all of the last history of event time, so that the latest row is that of the
// highest event time, whatever the order of the log. A join with a stream then sees the row as it was at the record's time, and
// tables, groups and joins below leave out updates that are not the latest. What is older than the history when it comes is dropped
// and counted as late. Every update is passed on as it comes. It is for tables, not for aggregations. It stands for Kafka Streams'
// versioned state stores.
func (m Store[V]) Versioned(history time.Duration) Store[V] {
	m.history, m.versioned = history, true
	return m
}

// With adds options of the store, such as state.WithoutChangelog.
func (m Store[V]) With(options ...state.SpecOption) Store[V] {
	m.options = append(m.options[:len(m.options):len(m.options)], options...)
	return m
}

// TableOption is an option of an operator that makes a table: [Named], and its store by [StoreNamed] or [Materialized]. A store
// whose values have another type than the table's is a fault that [Builder.Topology] reports.
type TableOption interface{ table(*tableConfig) }

type tableConfig struct {
	stepConfig
	stores []any // StoreName, or Store[V] of some V
}

func (m Store[V]) table(c *tableConfig)   { c.stores = append(c.stores, m) }
func (n NameOption) table(c *tableConfig) { n.step(&c.stepConfig) }

// materialization is what the options of an operator that makes a table of V say.
type materialization[V any] struct {
	Store[V]
	given  string // name of the operator, empty if it has none
	stored bool   // there is a store, with a name or without
}

// tableOptions resolves the options of an operator that makes a table of V. value is the serde that is known anyway.
func tableOptions[V any](b *Builder, value serde.Serde[V], opts []TableOption) materialization[V] {
	var c tableConfig
	for _, o := range opts {
		o.table(&c)
	}
	return resolveTable(b, value, &c)
}

func resolveTable[V any](b *Builder, value serde.Serde[V], c *tableConfig) materialization[V] {
	m := materialization[V]{given: c.take(b)}
	if len(c.stores) > 1 {
		b.plan.Fail("operator %s: a store is given %d times", m.given, len(c.stores))
	}
	if len(c.stores) > 0 {
		m.stored = true
		switch s := c.stores[0].(type) {
		case Store[V]:
			m.Store = s
		case StoreName:
			m.name = s.name
		default:
			b.plan.Fail("operator %s: its table is stored in a %T, want %T: give Materialized the serde of the table's values", m.given, s, m.Store)
		}
	}
	if m.value == nil {
		m.value = value
	}
	b.require(m.given, m.retention == 0, "Retention is for windows, and this table has none")
	return m
}

// keep adds the store of a table operator, if it has one. It returns nil if it has none.
func keep[K, V any](b *Builder, node string, key serde.Serde[K], m materialization[V]) *operator.Store {
	if !m.stored {
		return nil
	}
	b.require(node, m.name != "", "its store has no name: give it one, or leave the store out")
	s := b.store(m.name, m.uncached)
	s.Versioned, s.History = m.versioned, m.history.Milliseconds()
	addTableStore(b, node, s, key, m)
	return s
}

// addTableStore adds the store s of a table.
func addTableStore[K, V any](b *Builder, node string, s *operator.Store, key serde.Serde[K], m materialization[V]) {
	b.require(node, m.value != nil, "the store has no value serde: give it by Materialized")
	b.require(node, key != nil, "the key serde is unknown, and the store needs it: give it where the table begins")
	if m.versioned {
		b.require(node, m.history >= 0, "the history of its versioned store is negative")
		b.plan.AddStore(state.VersionedSpec(s.Name, key, m.value, m.history, m.options...))
		return
	}
	b.addStore(state.KeyValueSpec(s.Name, key, m.value, m.options...))
}

// store returns what operators know of a store.
func (b *Builder) store(name string, uncached bool) *operator.Store {
	s := operator.Stored(name)
	s.Uncached = uncached || b.uncached
	return s
}
