package runtime_test

import (
	"fmt"
	goruntime "runtime"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// benchRecords is how many input records one iteration processes; benchKeys how many keys they have.
const (
	benchRecords = 500_000
	benchKeys    = 10_000
)

// BenchmarkPassThrough copies a topic. Budget (DESIGN 5b): 0.4 µs of CPU per record, application and broker together.
func BenchmarkPassThrough(b *testing.B) {
	benchmark(b, 1, func(s *stream.Builder, in, out string) {
		stream.From(s, in, serde.String, serde.Bytes).To(out, serde.String, serde.Bytes)
	})
}

// BenchmarkCount counts by key over 10 k keys. Budget: 0.3 µs.
func BenchmarkCount(b *testing.B) {
	benchmark(b, 1, func(s *stream.Builder, in, out string) {
		stream.GroupByKey(stream.From(s, in, serde.String, serde.Bytes),
			stream.GroupedWith(serde.String, serde.Bytes)).
			Count(stream.Materialized("counts", serde.Int64)).
			ToStream().To(out, serde.String, serde.Int64)
	})
}

// BenchmarkRepartitionCount counts by another key, through a repartition topic. Budget: 0.8 µs.
func BenchmarkRepartitionCount(b *testing.B) {
	benchmark(b, 2, func(s *stream.Builder, in, out string) {
		in2 := stream.From(s, in, serde.String, serde.Bytes)
		stream.GroupBy(in2, func(k string, _ []byte) string { return k }, stream.GroupedWith(serde.String, serde.Bytes)).
			Count(stream.Materialized("counts", serde.Int64)).
			ToStream().To(out, serde.String, serde.Int64)
	})
}

// benchmark runs a job over a topic that is full at the start, and reports what one input record costs the process: CPU time,
// allocations, bytes allocated. The embedded broker is in the process, so that its cost is counted too. hops is how often
// each record is read.
func benchmark(b *testing.B, hops int64, job func(s *stream.Builder, in, out string)) {
	const parts = 4
	l := openLog(b, false)
	in := unique(b, "in")
	l.createTopics(b, parts, in)
	l.write(b, in, benchInput(parts))
	var before, after goruntime.MemStats
	var cpu time.Duration
	var allocs, bytes uint64
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		out, id := unique(b, "out"), unique(b, "app")
		l.createTopics(b, parts, out)
		s := stream.NewBuilder()
		job(s, in, out)
		top, err := s.Topology()
		if err != nil {
			b.Fatal(err)
		}
		goruntime.GC()
		goruntime.ReadMemStats(&before)
		used := processCPU()
		b.StartTimer()
		app := l.start(b, top, runtime.Config{ApplicationID: id, StateDir: b.TempDir(), Workers: 2, Logger: quiet()})
		eventually(b, 2*time.Minute, "all is processed", func() bool { return app.Stats().Read == hops*benchRecords })
		b.StopTimer()
		cpu += processCPU() - used
		goruntime.ReadMemStats(&after)
		allocs += after.Mallocs - before.Mallocs
		bytes += after.TotalAlloc - before.TotalAlloc
		if err := app.stop(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	total := float64(b.N) * benchRecords
	b.ReportMetric(float64(cpu.Nanoseconds())/total, "cpu-ns/record")
	b.ReportMetric(float64(allocs)/total, "allocs/record")
	b.ReportMetric(float64(bytes)/total, "B/record")
	b.ReportMetric(b.Elapsed().Seconds()*1e9/total, "wall-ns/record")
}

// benchInput makes records of 100 bytes with keys of 16, in runs that fill batches.
func benchInput(parts int32) []record {
	byPartition := make([][]record, parts)
	value := string(make([]byte, 100))
	for i := range benchRecords {
		key := fmt.Sprintf("key-%012d", (i*7919)%benchKeys)
		p := topology.PartitionOf([]byte(key), parts)
		byPartition[p] = append(byPartition[p], record{partition: p, key: key, value: value, timestamp: eventBase + int64(i)})
	}
	var all []record
	for _, records := range byPartition {
		all = append(all, records...)
	}
	return all
}
