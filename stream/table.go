package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/topology"
)

// TableSourceOption is an option of [Table]: [Named], its store by [StoreNamed] or [Materialized], and [Timestamps].
type TableSourceOption interface{ tableSource(*tableSourceConfig) }

type tableSourceConfig struct {
	tableConfig
	sources []any // SourceOption[K, V] of some K and V
}

func (n NameOption) tableSource(c *tableSourceConfig)         { n.table(&c.tableConfig) }
func (n StoreName) tableSource(c *tableSourceConfig)          { n.table(&c.tableConfig) }
func (m Store[V]) tableSource(c *tableSourceConfig)           { m.table(&c.tableConfig) }
func (o SourceOption[K, V]) tableSource(c *tableSourceConfig) { c.sources = append(c.sources, o) }

// Table reads a topic as a table: the last record of a key is its row, one with a null value deletes it, one with a null key is
// dropped and counted. Order is that of the log: a record counts also if its event time is older than the row's.
//
//	users := stream.Table(b, "users", serde.String, serde.JSON[User](), stream.StoreNamed("users"))
//
// A change has the time and headers of its record. The table has a store, with a changelog of its own, if it is given one or
// somebody below needs its rows: one row per key on disk, and a cache in memory. Without one every record is passed on as a
// change, also a delete of what never was. The topic should be compacted. Nothing is repartitioned: the topic must be
// partitioned by key. It stands for Kafka Streams' StreamsBuilder.table.
func Table[K, V any](b *Builder, topic string, key serde.Serde[K], value serde.Serde[V], opts ...TableSourceOption) KTable[K, V] {
	var c tableSourceConfig
	for _, o := range opts {
		o.tableSource(&c)
	}
	m := resolveTable(b, value, &c.tableConfig)
	given := m.given
	store := b.plan.StoreName(m.name, topic+"-")
	source := b.plan.Suffixed(given, "-source", plan.Source)
	name := b.plan.Name(given, plan.TableSource)
	b.require(name, key != nil, "the key serde is nil")
	b.require(name, value != nil, "the value serde is nil")
	read := b.plan.AddSource(topology.NewSource(source, []string{topic}, key, value, sourceOptions[K, V](b, name, c.sources)...))
	t := tableOf(b, name, store, m, key, read)
	if len(c.sources) == 0 && key != nil && value != nil { // with Timestamps or an OffsetReset its rows are not those of the topic
		t.node.HoldsTopic(store, topology.RowOf(key, value, m.value))
	}
	return t
}

// sourceOptions checks the types of a table's source options.
func sourceOptions[K, V any](b *Builder, name string, opts []any) []topology.SourceOption[K, V] {
	var c sourceConfig[K, V]
	for _, o := range opts {
		if f, ok := o.(SourceOption[K, V]); ok {
			f(&c)
		} else {
			b.plan.Fail("node %s: it is given a %T, want %T", name, o, f)
		}
	}
	b.require(name, c.name == "", "SourceNamed is for From; use Named for a table")
	return c.source
}

// tableOf adds the node that makes a table of the records of parent. Its store is added when somebody needs it.
func tableOf[K, V any](b *Builder, name, store string, m materialization[V], key serde.Serde[K], parent *plan.Node) KTable[K, V] {
	s := b.store(store, m.uncached)
	s.Versioned, s.History = m.versioned, m.history.Milliseconds()
	n, table := operator.TableSource[K, V](name, s, func() { addTableStore(b, name, s, key, m) })
	t := KTable[K, V]{b: b, node: b.plan.Add(n, parent), key: key, value: m.value, table: table}
	if m.stored && m.name != "" {
		table.Materialise()
	}
	return t
}

// ToTableOption is an option of [ToTable]: [Named], the table's store by [StoreNamed] or [Materialized], and
// [RepartitionedWith] for the topic that a stream goes through whose key was changed.
type ToTableOption interface{ toTable(*toTableConfig) }

type toTableConfig struct {
	tableConfig
	repartitioned []any // Repartitioned[K, V] of some K and V
}

func (n NameOption) toTable(c *toTableConfig)          { n.table(&c.tableConfig) }
func (n StoreName) toTable(c *toTableConfig)           { n.table(&c.tableConfig) }
func (m Store[V]) toTable(c *toTableConfig)            { m.table(&c.tableConfig) }
func (r Repartitioned[K, V]) toTable(c *toTableConfig) { c.repartitioned = append(c.repartitioned, r) }

// ToTable makes a table of the stream: the last record of a key is its row, one with a null value deletes it, one with a null key
// is dropped and counted. A change has the time and headers of its record.
//
// If the stream's key was changed, it goes through a repartition topic first, for which the serdes that the stream knows are used
// unless others are given. The table has a store as that of [Table] has. It stands for Kafka Streams' KStream.toTable.
func ToTable[K, V any](s KStream[K, V], opts ...ToTableOption) KTable[K, V] {
	var c toTableConfig
	for _, o := range opts {
		o.toTable(&c)
	}
	r := Repartitioned[K, V]{key: s.key, value: s.value}
	for _, o := range c.repartitioned {
		given, ok := o.(Repartitioned[K, V])
		if r = given; !ok {
			s.b.plan.Fail("ToTable below %s: it is given a %T, want %T", s.node.Name, o, r)
		}
	}
	m := resolveTable(s.b, r.value, &c.tableConfig)
	name := s.b.plan.Name(m.given, plan.ToTable)
	store := s.b.plan.StoreName(m.name, plan.ToTable)
	parent := s.node
	if s.rekeyed {
		topic := name
		if r.name != "" {
			topic = r.name
		}
		r.value, r.automatic = m.value, r.partitions == 0 && r.partition == nil
		parent = repartition(s.b, topic, r, s.node)
	}
	return tableOf(s.b, name, store, m, r.key, parent)
}
