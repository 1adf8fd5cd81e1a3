package stream_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// variant is a way to run one program: none may change its final tables.
type variant struct {
	builder    []stream.BuilderOption
	partitions int32
	commits    bool // at random points, not after each record
	shuffled   bool // records of streams come out of order
}

func (v variant) String() string {
	return fmt.Sprintf("%d builder options, %d partitions, commits at random %v, out of order %v", len(v.builder), v.partitions, v.commits, v.shuffled)
}

// TestMetamorphic: caching on or off, plans optimised or not, one partition or eight, commits after each record or now and then, records
// in order or not: the final tables are the same (D-141).
func TestMetamorphic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) {
			t.Parallel()
			want := finalTables(t, seed, variant{partitions: 1})
			if len(want) == 0 {
				t.Fatal("there are no results")
			}
			for _, v := range []variant{
				{partitions: 1, builder: []stream.BuilderOption{stream.Uncached()}},
				{partitions: 1, builder: []stream.BuilderOption{stream.Optimized()}, commits: true},
				{partitions: 1, commits: true, shuffled: true},
				{partitions: 8, shuffled: true},
				{partitions: 8, commits: true},
				{partitions: 8, builder: []stream.BuilderOption{stream.Optimized(), stream.Uncached()}, commits: true, shuffled: true},
			} {
				got := finalTables(t, seed, v)
				for _, table := range slices.Sorted(maps.Keys(want)) {
					if got[table] != want[table] {
						t.Errorf("%v: table %s\n%s\nwant\n%s", v, table, got[table], want[table])
					}
				}
			}
		})
	}
}

func addNumbers(a, b int64) int64 { return a + b }
func subNumbers(a, b int64) int64 { return a - b }

// tablesProgram has results that depend neither on the order of streams' records nor on what is seen between.
func tablesProgram(b *stream.Builder) {
	numbers := serde.Int64
	in := stream.From(b, "in", serde.String, numbers)
	group := stream.GroupedWith(serde.String, numbers)
	rekeyed := stream.SelectKey(in, parity)
	toNumbers(stream.GroupByKey(rekeyed, group).Count(stream.Materialized("counts", numbers)), "counts")
	toNumbers(stream.GroupByKey(rekeyed.Filter(func(_ string, v int64) bool { return v > 0 }), group).Reduce(addNumbers, stream.Materialized("positive", numbers)), "positive")
	windows := stream.GroupByKey(in).WindowedBy(window.Hopping(40*time.Millisecond, 20*time.Millisecond).Grace(time.Hour)).
		Reduce(addNumbers, stream.Materialized("windows", numbers))
	stream.ToStream(windows).To("windows", window.KeySerde(serde.String, 40*time.Millisecond), numbers)
	sessions := stream.GroupByKey(in).WindowedBySessions(window.Sessions(15 * time.Millisecond).Grace(time.Hour)).Count(stream.Materialized("sessions", numbers))
	stream.ToStream(sessions).To("sessions", window.SessionKeySerde(serde.String), numbers)
	sliding := stream.GroupByKey(in).WindowedBy(window.SlidingBy(10 * time.Millisecond).Grace(time.Hour)).Count(stream.Materialized("sliding", numbers))
	stream.ToStream(sliding).To("sliding", window.KeySerde(serde.String, 10*time.Millisecond), numbers)

	l, r := stream.Table(b, "l", serde.String, numbers), stream.Table(b, "r", serde.String, numbers)
	sum := func(a, c serde.Maybe[int64]) int64 { return 1000*a.Or(-1) + c.Or(-1) }
	toNumbers(stream.OuterJoinTables(l, r, sum, stream.Materialized("outer", numbers)), "outer")
	// Rows of s stay: where both rows of an inner join go in one commit, no delete is passed on, as in Kafka Streams.
	s := stream.Table(b, "s", serde.String, numbers)
	toNumbers(stream.JoinTables(l.Filter(func(_ string, v int64) bool { return v%3 != 0 }), s, addNumbers), "inner")
	foreign := func(_ string, v int64) string { return "k" + strconv.FormatInt(((v%5)+5)%5, 10) }
	toNumbers(stream.LeftJoinForeign(l, r, foreign, func(v int64, w serde.Maybe[int64]) int64 { return 1000*v + w.Or(-1) }, stream.Materialized("foreign", numbers)), "foreign")
	groups := stream.GroupTable(l, func(_ string, v int64) (string, int64) { return parity("", v), v }, group)
	toNumbers(groups.Reduce(addNumbers, subNumbers, stream.Materialized("groups", numbers)), "groups")
}

func toNumbers(t stream.KTable[string, int64], topic string) {
	t.ToStream().To(topic, serde.String, serde.Int64)
}

// finalTables runs the program over random input and returns its tables as text, by topic.
func finalTables(t *testing.T, seed uint64, v variant) map[string]string {
	t.Helper()
	b := stream.NewBuilder(v.builder...)
	tablesProgram(b)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	options := []topologytest.Option{topologytest.Partitions(v.partitions)}
	if v.commits {
		options = append(options, topologytest.ManualCommit())
	}
	d := topologytest.New(t, top, options...)
	rnd := rand.New(rand.NewPCG(seed, 7))
	var records []topology.Record[string, int64]
	for i := range 250 {
		records = append(records, topology.NewRecord(fmt.Sprint("k", rnd.IntN(6)), rnd.Int64N(100)-50, int64(i)+rnd.Int64N(30)))
	}
	rows := changes(rnd, 150)
	if v.shuffled {
		records = topologytest.OutOfOrder(seed, 200*time.Millisecond, records)
	}
	in := topologytest.NewInput(d, "in", serde.String, serde.Int64)
	tables := map[string]*topologytest.Input[string, int64]{
		"l": topologytest.NewInput(d, "l", serde.String, serde.Int64), "r": topologytest.NewInput(d, "r", serde.String, serde.Int64),
		"s": topologytest.NewInput(d, "s", serde.String, serde.Int64),
	}
	points := rand.New(rand.NewPCG(seed, uint64(v.partitions)))
	for len(records)+len(rows) > 0 {
		if len(records) > 0 {
			in.PipeRecord(records[0])
			records = records[1:]
		}
		if len(rows) > 0 {
			tables[rows[0].table].PipeRecord(rows[0].row)
			rows = rows[1:]
		}
		if points.IntN(15) == 0 {
			d.Commit()
		}
	}
	d.Commit()
	if n := d.Dropped() - overtaken(d); n != 0 {
		t.Errorf("%v: %d records were dropped: %v", v, n, d.Drops())
	}
	result := map[string]string{}
	for _, topic := range []string{"counts", "positive", "outer", "inner", "foreign", "groups"} {
		result[topic] = fmt.Sprint(topologytest.Latest(topologytest.NewOutput(d, topic, serde.String, serde.Int64)))
	}
	for topic, keys := range map[string]serde.Serde[window.Windowed[string]]{
		"windows": window.KeySerde(serde.String, 40*time.Millisecond), "sessions": window.SessionKeySerde(serde.String),
		"sliding": window.KeySerde(serde.String, 10*time.Millisecond),
	} {
		result[topic] = fmt.Sprint(topologytest.Latest(topologytest.NewOutput(d, topic, keys, serde.Int64)))
	}
	return result
}

// overtaken counts the answers of foreign-key joins to rows that have changed since, which are dropped rightly.
func overtaken(d *topologytest.Driver) (n int64) {
	for _, drop := range d.Drops() {
		if drop.Reason == topology.ReasonOvertaken {
			n += drop.Count
		}
	}
	return n
}

// change is an update of one of three tables.
type change struct {
	table string
	row   topology.Record[string, int64]
}

// changes makes random updates of three tables, and deletes, but none of s.
func changes(rnd *rand.Rand, n int) (list []change) {
	for i := range n {
		c := change{"l", topology.NewRecord(fmt.Sprint("k", rnd.IntN(8)), rnd.Int64N(60), int64(i))}
		if n := rnd.IntN(3); n > 0 {
			c.table = []string{"", "r", "s"}[n]
		}
		if rnd.IntN(6) == 0 && c.table != "s" {
			c.row = c.row.WithoutValue()
		}
		list = append(list, c)
	}
	return list
}
