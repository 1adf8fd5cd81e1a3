package runtime_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// The final tables do not depend on how many workers there are, nor on how plans are optimised or whether updates are cached.
func TestWorkersGiveTheSameTables(t *testing.T) {
	t.Parallel()
	const partitions = 8
	l := openLog(t, false)
	in, left, right := unique(t, "in"), unique(t, "left"), unique(t, "right")
	l.createTopics(t, partitions, in, left, right)
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, topic := range []string{in, left, right} {
		var records []record
		for i := range 400 {
			key := fmt.Sprint("k", rnd.IntN(40))
			p := topology.PartitionOf([]byte(key), partitions)
			records = append(records, record{partition: p, key: key, value: fmt.Sprint(rnd.IntN(9)), timestamp: eventBase + int64(i)*100})
		}
		l.write(t, topic, records)
	}
	var want []map[string]string
	for _, c := range []struct {
		workers int
		options []stream.BuilderOption
	}{
		{1, nil}, {5, nil}, {5, []stream.BuilderOption{stream.Uncached()}}, {3, []stream.BuilderOption{stream.Optimized()}},
	} {
		id := unique(t, "app")
		outs := []string{unique(t, "counts"), unique(t, "windows"), unique(t, "joined")}
		l.createTopics(t, 2, outs...)
		b := stream.NewBuilder(c.options...)
		tablesOf(b, in, left, right, outs)
		top, err := b.Topology()
		if err != nil {
			t.Fatal(err)
		}
		app := l.start(t, top, runtime.Config{ApplicationID: id, StateDir: t.TempDir(), Workers: c.workers})
		topics := []string{in, left, right}
		for _, r := range top.Repartition {
			topics = append(topics, top.Internal(id, r.Topic()))
		}
		eventually(t, time.Minute, "all is processed", func() bool { return l.drained(t, id, topics...) })
		if err := app.stop(); err != nil {
			t.Fatal(err)
		}
		for i, topic := range outs {
			got := map[string]string{}
			for _, r := range l.read(t, topic) {
				got[r.key] = r.value
			}
			if len(got) == 0 {
				t.Errorf("%d workers: topic %d is empty", c.workers, i)
			}
			if len(want) <= i {
				want = append(want, got)
			} else if !maps.Equal(got, want[i]) {
				t.Errorf("%d workers: table %d is %v\nwant %v", c.workers, i, got, want[i])
			}
		}
	}
}

// tablesOf makes tables whose last rows do not depend on the order in which partitions are read.
func tablesOf(b *stream.Builder, in, left, right string, outs []string) {
	s := stream.From(b, in, serde.String, serde.String)
	byValue := stream.SelectKey(s, func(_, v string) string { return v })
	grouped := stream.GroupByKey(byValue, stream.GroupedWith(serde.String, serde.String))
	grouped.Count(stream.Materialized("counts", serde.Int64)).ToStream().To(outs[0], serde.String, serde.Int64)
	size := 5 * time.Second
	windows := grouped.WindowedBy(window.Tumbling(size).Grace(time.Hour)).Count(stream.Materialized("windows", serde.Int64))
	stream.ToStream(windows).To(outs[1], window.KeySerde(serde.String, size), serde.Int64)
	l, r := stream.Table(b, left, serde.String, serde.String), stream.Table(b, right, serde.String, serde.String)
	joined := stream.OuterJoinTables(l, r, func(a, c serde.Maybe[string]) string { return a.Or("-") + c.Or("-") })
	joined.ToStream().To(outs[2], serde.String, serde.String)
}
