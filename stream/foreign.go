package stream

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/topology"
)

// ForeignOption is an option of the foreign-key joins: [Named], the store of the result by [StoreNamed] or [Materialized], and
// [PartitionForeign].
type ForeignOption interface{ foreign(*foreignConfig) }

type foreignConfig struct {
	tableConfig
	partitioners []any // func(FK, int32) int32 of some FK
}

func (n NameOption) foreign(c *foreignConfig) { n.table(&c.tableConfig) }
func (n StoreName) foreign(c *foreignConfig)  { n.table(&c.tableConfig) }
func (m Store[V]) foreign(c *foreignConfig)   { m.table(&c.tableConfig) }

// ForeignPartitions says how the right table of a foreign-key join is partitioned. It is made by [PartitionForeign].
type ForeignPartitions[FK any] struct {
	partition func(key FK, partitions int32) int32
}

// PartitionForeign says that the topic of the right table is partitioned by p, not by the hash of its keys: subscriptions then find the
// rows that they are for. p returns a number from 0 to partitions-1. Answers need no such thing: they go back to the partition that the
// left row is in. It stands for the partitioners of Kafka Streams' TableJoined.
func PartitionForeign[FK any](p func(key FK, partitions int32) int32) ForeignPartitions[FK] {
	return ForeignPartitions[FK]{p}
}

func (f ForeignPartitions[FK]) foreign(c *foreignConfig) { c.partitioners = append(c.partitioners, f) }

// foreignOptions resolves the options of a foreign-key join.
func foreignOptions[FK, R any](b *Builder, opts []ForeignOption) (m materialization[R], partition []topology.SinkOption[FK, operator.Subscription]) {
	var c foreignConfig
	for _, o := range opts {
		o.foreign(&c)
	}
	m = resolveTable(b, serde.Serde[R](nil), &c.tableConfig)
	for _, p := range c.partitioners {
		f, ok := p.(ForeignPartitions[FK])
		if !ok || f.partition == nil {
			b.plan.Fail("foreign-key join %s: PartitionForeign is given as %T, want %T that is not nil", m.given, p, f)
			continue
		}
		partition = append(partition, topology.WithPartitioner(func(_ string, r *topology.Record[FK, operator.Subscription], _ []byte, n int32) int32 {
			return f.partition(r.Key, n)
		}))
	}
	return m, partition
}

// JoinForeign joins each row of the left table with the row of the right table whose key it holds, foreign(key, row): many left rows
// may hold one foreign key. A change of either side makes a change of the result, under the left key; a right row that
// changes makes one for each left row that refers to it. The result goes with either row, and when the foreign key changes to one
// without a row; then a delete may be passed on for a result that never was.
//
//	orders := stream.Table(b, "orders", serde.String, serde.JSON[Order]())
//	users := stream.Table(b, "users", serde.String, serde.JSON[User]())
//	named := stream.JoinForeign(orders, users, func(_ string, o Order) string { return o.User }, withName)
//
// The time is the larger of the two rows' when the left one changes, and the right row's own when that changes. Headers are those of
// the change. Where FK can hold nil, a left row for which foreign returns nil has no result; it is dropped and counted. For an R
// that can hold nil, join may return nil for no row.
//
// Left and right rows may be in different partitions, so the join goes through two internal topics: subscriptions travel to the right
// side, where a store keeps one for each left row, and answers travel back, "<application id>-<name>-subscription-registration-topic"
// and "-subscription-response-topic". Both tables get stores. Results are right in the end, but an update that overtakes
// another on the way may hide an intermediate one: answers to a left row that has changed meanwhile are dropped and counted as
// overtaken. That is found out by the hash of the encoded row, so the left table's value serde must always encode equal rows the same.
// A right row that is encoded to no bytes counts as absent. The formats are Kafka Streams'; this is its KTable.join with a
// foreign key extractor.
func JoinForeign[K, V, FK, W, R any](
	left KTable[K, V], right KTable[FK, W], foreign func(key K, row V) FK, join func(left V, right W) R, opts ...ForeignOption,
) KTable[K, R] {
	j := &operator.Foreign[K, V, FK, W, R]{Extract: foreign, Join: func(v V, w serde.Maybe[W]) R {
		row, _ := w.Get()
		return join(v, row)
	}}
	return joinForeign(left, right, j, foreign != nil && join != nil, opts)
}

// LeftJoinForeign is [JoinForeign] with a result for each left row: right is absent where there is no row for the foreign key, or the
// foreign key is nil.
func LeftJoinForeign[K, V, FK, W, R any](
	left KTable[K, V], right KTable[FK, W], foreign func(key K, row V) FK, join func(left V, right serde.Maybe[W]) R, opts ...ForeignOption,
) KTable[K, R] {
	j := &operator.Foreign[K, V, FK, W, R]{Extract: foreign, Join: join, KeepLeft: true}
	return joinForeign(left, right, j, foreign != nil && join != nil, opts)
}

// foreignNames are the names of what a foreign-key join consists of, in the order in which Kafka Streams counts them.
type foreignNames struct {
	registration, subscribe, registrationSink, registrationSource  string
	store, receive, answer, notify                                 string
	response, responseSink, responseSource, resolver, result, kept string
}

func nameForeign(p *plan.Graph, given, kept string) foreignNames {
	return foreignNames{
		registration:       p.Suffixed(given, "-subscription-registration", plan.ForeignRegistration),
		subscribe:          p.Suffixed(given, "-subscription-registration-processor", plan.ForeignRegistration),
		registrationSink:   p.Suffixed(given, "-subscription-registration-sink", plan.TableSink),
		registrationSource: p.Suffixed(given, "-subscription-registration-source", plan.TableSource),
		store:              p.Suffixed(given, "-subscription-store", plan.ForeignStore),
		receive:            p.Suffixed(given, "-subscription-receive", plan.ForeignProcessor),
		answer:             p.Suffixed(given, "-subscription-join-foreign", plan.ForeignProcessor),
		notify:             p.Suffixed(given, "-foreign-join-subscription", plan.ForeignProcessor),
		response:           p.Suffixed(given, "-subscription-response", plan.ForeignResponse),
		responseSink:       p.Suffixed(given, "-subscription-response-sink", plan.TableSink),
		responseSource:     p.Suffixed(given, "-subscription-response-source", plan.TableSource),
		resolver:           p.Suffixed(given, "-subscription-response-resolver", plan.ForeignResolver),
		result:             p.Suffixed(given, "-result", plan.ForeignOutput),
		kept:               p.StoreName(kept, plan.ForeignOutput),
	}
}

func joinForeign[K, V, FK, W, R any](
	left KTable[K, V], right KTable[FK, W], j *operator.Foreign[K, V, FK, W, R], given bool, opts []ForeignOption,
) KTable[K, R] {
	b := left.b
	m, partition := foreignOptions[FK, R](b, opts)
	n := nameForeign(b.plan, m.given, m.name)
	const fix = "give it where the table begins, or by Materialized"
	b.require(n.result, given, "the foreign key function or the joiner is nil")
	b.require(n.result, right.b == b, "a table of another builder is given to it")
	b.require(n.result, left.key != nil, "the key serde of the left table is unknown: "+fix)
	b.require(n.result, left.value != nil, "the value serde of the left table is unknown: "+fix)
	b.require(n.result, right.key != nil, "the key serde of the right table is unknown: "+fix)
	b.require(n.result, right.value != nil, "the value serde of the right table is unknown: "+fix)
	j.Left, j.Right, j.Store = left.table, right.table, n.store
	j.Key, j.Value, j.ForeignKey = left.key, left.value, right.key

	subscribe := b.plan.Add(j.Subscribe(n.subscribe), left.node)
	b.plan.AddStore(state.KeyValueSpec(n.store, serde.String, operator.Subscriptions))
	registration := topology.RepartitionTopic{Name: n.registration, Suffix: "-topic"}
	there := b.plan.AddRepartition(plan.Via{
		Topic:  registration,
		Sink:   operator.RepartitionSink(n.registrationSink, registration.Topic(), right.key, operator.Subscriptions, partition...),
		Source: topology.NewSource(n.registrationSource, []string{registration.Topic()}, right.key, operator.Subscriptions),
	}, subscribe)
	receive := b.plan.Add(j.Receive(n.receive), there)
	answer := b.plan.Add(j.Answer(n.answer), receive)
	notify := b.plan.Add(j.Notify(n.notify), right.node)
	response := topology.RepartitionTopic{Name: n.response, Suffix: "-topic"}
	back := b.plan.AddRepartition(plan.Via{
		Topic:  response,
		Sink:   operator.ResponseSink(n.responseSink, response.Topic(), left.key, right.value),
		Source: topology.NewSource(n.responseSource, []string{response.Topic()}, left.key, operator.Responses(right.value)),
	}, answer, notify)
	resolver := b.plan.Add(j.Resolve(n.resolver), back)
	b.plan.Copartition(there, right.node)
	b.plan.Copartition(back, left.node)
	return tableOf(b, n.result, n.kept, m, left.key, resolver)
}
