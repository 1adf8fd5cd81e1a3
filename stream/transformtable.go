package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/topology"
)

// RowTransformer computes rows of a table, with state if it needs any: Kafka Streams' ValueTransformerWithKey. One instance
// serves one task; all methods are called by the goroutine that owns it.
type RowTransformer[K, V, R any] interface {
	// Init is called once before the first row. Stores are looked up here.
	Init(ctx *TableContext) error
	// Transform returns what becomes of a row; absent is no row. It is called for deletes too, with an absent row. An error
	// goes to the processing handler: the change is dropped at this node and counted, or the task stops.
	Transform(key K, row serde.Maybe[V]) (serde.Maybe[R], error)
	// Close is called once, after the last row, also when the task ends without a commit.
	Close() error
}

// TableContext is what a [RowTransformer] reaches its task through: all that topology.Context has, but for Forward. It is valid
// from Init to Close, in the goroutine that calls the transformer's methods.
type TableContext struct{ *rowContext }

// rowContext keeps the embedded field unexported.
type rowContext = topology.Context[struct{}, struct{}]

// Forward hides that of topology.Context: a row transformer returns its result.
func (TableContext) Forward(struct{}) {}

// TransformTable replaces each row of a table by what a transformer makes of it. Time and headers are those of the change.
//
// newTransformer is called once per task, and once more for each operator below that looks rows up through a table without a store;
// it returns a new instance each time. Without a store, rows and old rows are computed anew wherever they are needed: then
// Transform must be deterministic. It stands for Kafka Streams' KTable.transformValues.
func TransformTable[T RowTransformer[K, V, R], K, V, R any](t KTable[K, V], newTransformer func() T, opts ...TransformOption) KTable[K, R] {
	b := t.b
	var c transformConfig
	for _, o := range opts {
		o.transform(&c)
	}
	m := resolveTable(b, serde.Serde[R](nil), &c.tableConfig)
	name := b.plan.Name(m.given, plan.TableTrans)
	b.require(name, newTransformer != nil, "the constructor of its transformer is nil")
	open := func(s topology.Scope, n *topology.Node) (operator.Transformer[K, V, R], error) {
		transformer := newTransformer()
		ctx := &TableContext{topology.NewContext[struct{}, struct{}](s, n)}
		if err := transformer.Init(ctx); err != nil {
			return operator.Transformer[K, V, R]{}, err
		}
		return operator.Transformer[K, V, R]{Transform: transformer.Transform, Close: transformer.Close}, nil
	}
	n, table := operator.TableTransform(name, open, c.connected, keep(b, name, t.key, m), t.table)
	node := b.plan.Add(n, t.node)
	node.ReadsSource()
	return KTable[K, R]{b: b, node: node, key: t.key, value: m.value, table: table}
}

// TransformOption is an option of [TransformTable]: [Named], the table's store by [StoreNamed] or [Materialized], and [Stores].
type TransformOption interface{ transform(*transformConfig) }

type transformConfig struct {
	tableConfig
	connected []string
}

func (n NameOption) transform(c *transformConfig)   { n.table(&c.tableConfig) }
func (n StoreName) transform(c *transformConfig)    { n.table(&c.tableConfig) }
func (m Store[V]) transform(c *transformConfig)     { m.table(&c.tableConfig) }
func (o StoresOption) transform(c *transformConfig) { c.connected = append(c.connected, o.names...) }
