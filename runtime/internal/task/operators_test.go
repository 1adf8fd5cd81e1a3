//go:build !invariants

// What is asserted with invariants allocates.

package task_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// operatorCase is one operator between a source and a sink.
type operatorCase struct {
	name  string
	build func(b *stream.Builder)
	// second says that the topic "other" is read too.
	second bool
	// most is how many allocations a record may cost; 0: perRecord.
	most float64
}

type (
	numbers = stream.KStream[string, int64]
	rows    = stream.KTable[string, int64]
)

func fromIn(b *stream.Builder) numbers    { return stream.From(b, "in", serde.String, serde.Int64) }
func fromOther(b *stream.Builder) numbers { return stream.From(b, "other", serde.String, serde.Int64) }
func tableOf(b *stream.Builder, topic, store string) rows {
	return stream.Table(b, topic, serde.String, serde.Int64, stream.StoreNamed(store))
}
func out(s numbers)                          { s.To("out", serde.String, serde.Int64) }
func outRows(t rows)                         { out(t.ToStream()) }
func stored(name string) stream.Store[int64] { return stream.Materialized(name, serde.Int64) }
func sum(a, v int64) int64                   { return a + v }
func fold(_ string, v, a int64) int64        { return a + v }
func zero() int64                            { return 0 }
func either(l int64, r serde.Maybe[int64]) int64 {
	return l + r.Or(0)
}
func outWindows(t stream.WindowedTable[string, int64]) {
	stream.ToStream(t).To("out", window.KeySerde(serde.String, time.Second), serde.Int64)
}

// doubler is a processor by hand with a store.
type doubler struct {
	store topology.Store[*state.KeyValue[string, int64]]
	kv    *state.KeyValue[string, int64]
	ctx   *topology.Context[string, int64]
}

func (p *doubler) Init(ctx *topology.Context[string, int64]) (err error) {
	p.ctx = ctx
	p.kv, err = p.store.In(ctx)
	return err
}

func (p *doubler) Process(r topology.Record[string, int64]) error {
	e, err := p.kv.At(r.Key)
	if err != nil {
		return err
	}
	n, _ := e.Value()
	p.ctx.Forward(topology.WithValue(r, n))
	return e.Set(n+r.Value, r.Timestamp, r.Headers)
}

func (p *doubler) Close() error { return nil }

const within = 100 * time.Millisecond

// What some operators may allocate for a record.
const (
	perBucket = 0.05 // stores of windows grow by a time bucket for every few records here
	waiting   = 1.6  // a record without a match waits as a list of its own, of bytes
	// A subscription holds the key of its row; it is sent once for each row that changes between two commits.
	subscribing = 1
	held        = 1.5 // what waits is kept as the bytes of Kafka's format
)

// operatorCases leaves out windows that are emitted when they close: that is throttled by the wall clock, which stands still here.
var operatorCases = []operatorCase{
	{name: "filter", build: func(b *stream.Builder) { out(fromIn(b).Filter(func(string, int64) bool { return true })) }},
	{name: "peek", build: func(b *stream.Builder) { out(fromIn(b).Peek(func(string, int64) {})) }},
	{name: "map values", build: func(b *stream.Builder) { out(stream.MapValues(fromIn(b), func(v int64) int64 { return v + 1 })) }},
	{name: "map", build: func(b *stream.Builder) {
		out(stream.Map(fromIn(b), func(k string, v int64) (string, int64) { return k, v + 1 }))
	}},
	{name: "select key", build: func(b *stream.Builder) { out(stream.SelectKey(fromIn(b), func(k string, _ int64) string { return k })) }},
	{name: "flat map", build: func(b *stream.Builder) {
		out(stream.FlatMap(fromIn(b), func(k string, v int64, emit func(string, int64)) { emit(k, v); emit(k, v+1) }))
	}},
	{name: "flat map values", build: func(b *stream.Builder) {
		out(stream.FlatMapValues(fromIn(b), func(v int64, emit func(int64)) { emit(v); emit(v + 1) }))
	}},
	{name: "split", build: func(b *stream.Builder) {
		split := fromIn(b).Split()
		out(split.Branch(func(_ string, v int64) bool { return v > 0 }))
		split.Default().To("out2", serde.String, serde.Int64)
	}},
	{name: "merge", second: true, build: func(b *stream.Builder) { out(fromIn(b).Merge(fromOther(b))) }},
	{name: "repartition", build: func(b *stream.Builder) { out(fromIn(b).Repartition()) }},
	{name: "process", build: func(b *stream.Builder) {
		kv := stream.AddStore[*state.KeyValue[string, int64]](b, state.KeyValueSpec("kv", serde.String, serde.Int64))
		out(stream.Process(fromIn(b), func() *doubler { return &doubler{store: kv} }, stream.Stores(kv)))
	}},
	{name: "reduce", build: func(b *stream.Builder) { outRows(stream.GroupByKey(fromIn(b)).Reduce(sum, stored("s"))) }},
	{name: "aggregate", build: func(b *stream.Builder) {
		outRows(stream.Aggregate(stream.GroupByKey(fromIn(b)), zero, fold, stored("s")))
	}},
	{name: "aggregate, uncached", build: func(b *stream.Builder) {
		outRows(stream.Aggregate(stream.GroupByKey(fromIn(b)), zero, fold, stored("s").Uncached()))
	}},
	{name: "cogroup", second: true, build: func(b *stream.Builder) {
		both := stream.Cogroup(stream.GroupByKey(fromIn(b)), fold).With(stream.Cogroup(stream.GroupByKey(fromOther(b)), fold))
		outRows(both.Aggregate(zero, stored("s")))
	}},
	{name: "tumbling windows", most: perBucket, build: func(b *stream.Builder) {
		outWindows(stream.GroupByKey(fromIn(b)).WindowedBy(window.Tumbling(time.Second)).Reduce(sum, stored("s")))
	}},
	{name: "hopping windows", most: 10 * perBucket, build: func(b *stream.Builder) {
		outWindows(stream.GroupByKey(fromIn(b)).WindowedBy(window.Hopping(time.Second, within)).Reduce(sum, stored("s")))
	}},
	{name: "sliding windows", most: 2 * perBucket, build: func(b *stream.Builder) {
		outWindows(stream.GroupByKey(fromIn(b)).WindowedBy(window.SlidingBy(within)).Reduce(sum, stored("s")))
	}},
	{name: "sessions", most: perBucket, build: func(b *stream.Builder) {
		sessions := stream.GroupByKey(fromIn(b)).WindowedBySessions(window.Sessions(within)).Reduce(sum, stored("s"))
		stream.ToStream(sessions).To("out", window.SessionKeySerde(serde.String), serde.Int64)
	}},
	{name: "stream-table join", second: true, build: func(b *stream.Builder) {
		out(stream.JoinTable(fromIn(b), tableOf(b, "other", "t"), sum))
	}},
	{name: "stream-table left join", second: true, build: func(b *stream.Builder) {
		out(stream.LeftJoinTable(fromIn(b), tableOf(b, "other", "t"), either))
	}},
	{name: "stream-stream join", most: perBucket, second: true, build: func(b *stream.Builder) {
		out(stream.Join(fromIn(b), fromOther(b), sum, window.Within(within)))
	}},
	{name: "stream-stream left join", most: waiting, second: true, build: func(b *stream.Builder) {
		out(stream.LeftJoin(fromIn(b), fromOther(b), either, window.Within(within)))
	}},
	{name: "table", build: func(b *stream.Builder) { outRows(tableOf(b, "in", "t")) }},
	{name: "table filter and map", build: func(b *stream.Builder) {
		kept := tableOf(b, "in", "t").Filter(func(_ string, v int64) bool { return v >= 0 })
		outRows(stream.MapTable(kept, func(v int64) int64 { return v + 1 }))
	}},
	{name: "table-table join", second: true, build: func(b *stream.Builder) {
		outRows(stream.JoinTables(tableOf(b, "in", "l"), tableOf(b, "other", "r"), sum))
	}},
	{name: "group table", build: func(b *stream.Builder) {
		groups := stream.GroupTable(tableOf(b, "in", "t"), func(k string, v int64) (string, int64) { return k[:5], v }, stream.GroupedWith(serde.String, serde.Int64))
		outRows(groups.Reduce(sum, func(a, v int64) int64 { return a - v }, stored("g")))
	}},
	{name: "foreign-key join", most: subscribing, build: func(b *stream.Builder) {
		outRows(stream.JoinForeign(tableOf(b, "in", "l"), tableOf(b, "other", "r"), func(k string, _ int64) string { return k }, sum))
	}},
	{name: "suppress", most: held, build: func(b *stream.Builder) {
		outRows(tableOf(b, "in", "t").Suppress(stream.UntilTimeLimit(within, stream.Unbounded())))
	}},
}

func (c operatorCase) steady(tb testing.TB, n int) (s *steady, topics []string, batches []*loop) {
	tb.Helper()
	b := stream.NewBuilder()
	c.build(b)
	s = newSteady(tb, b)
	for _, in := range s.task.Inputs() {
		s.task.Lag(in, true, 0) // an internal topic, which nothing comes from
	}
	topics, batches = []string{"in"}, []*loop{records(n, 8)}
	if c.second {
		topics, batches = append(topics, "other"), append(batches, records(n, 8))
	}
	return s, topics, batches
}

// TestOperatorAllocations: in the steady state stateless operators, aggregations and joins allocate nothing for a record, commits included,
// but for what most says. Of those that go through an internal topic it is the part before it.
func TestOperatorAllocations(t *testing.T) {
	for _, c := range operatorCases {
		s, topics, batches := c.steady(t, 4000)
		n, most := s.measure(topics, batches...), c.most
		if most == 0 {
			most = perRecord
		}
		t.Logf("%-25s %.4f allocations per record", c.name, n)
		if n > most {
			t.Errorf("%s: %.4f allocations per record, want %.3f at most", c.name, n, most)
		}
		if s.out.n == 0 {
			t.Errorf("%s: nothing came out", c.name)
		}
	}
}

// BenchmarkOperators runs each operator within a task, over stores in memory, with a commit every 4000 records: per record it is what queue,
// decoding, operator, store, encoding and commit cost together. The first case, which does nothing, is what to take off.
func BenchmarkOperators(b *testing.B) {
	for _, c := range append([]operatorCase{{name: "nothing", build: func(b *stream.Builder) { out(fromIn(b)) }}}, operatorCases...) {
		b.Run(c.name, func(b *testing.B) {
			s, topics, batches := c.steady(b, 4000)
			total := 0
			for _, batch := range batches {
				total += len(batch.records)
			}
			s.round(topics, batches)
			b.ReportAllocs()
			rounds := 0
			for b.Loop() {
				s.round(topics, batches)
				rounds++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*total), "ns/record")
		})
	}
}
