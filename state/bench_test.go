package state_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/state/pebblestore"
)

// int64Serde is Kafka's: eight bytes, big endian.
type int64Serde struct{}

func (int64Serde) Append(dst []byte, v int64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(v)), nil
}

func (int64Serde) Decode(src []byte) (int64, error) {
	if len(src) != 8 {
		return 0, fmt.Errorf("%d bytes", len(src))
	}
	return int64(binary.BigEndian.Uint64(src)), nil
}

type stringSerde struct{}

func (stringSerde) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (stringSerde) Decode(src []byte) (string, error)           { return string(src), nil }

// discard is a changelog that keeps nothing, since its cost is the runtime's.
type discard struct{ records int64 }

func (d *discard) Append(key, value []byte, timestamp int64) error { d.records++; return nil }

func keysOf(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%020d", i)
	}
	return keys
}

const commitEvery = 100_000

// BenchmarkCountHot counts records of 10,000 keys, uniform, and commits every 100,000: at most 80 ns and no allocation, the
// commit's part included. Expected: hash 6, table 15, key 10, write 10, and a tenth of 100 for flush and commit.
func BenchmarkCountHot(b *testing.B) {
	s, _ := openCounts(b, memstore.New(), state.Config{})
	benchCount(b, s, keysOf(10_000))
}

// BenchmarkCountUniform counts records of 1,000,000 keys, uniform, over Pebble with write-behind: at most 1.5 µs of CPU.
func BenchmarkCountUniform(b *testing.B) {
	e, err := pebblestore.Open(b.TempDir(), pebblestore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, _ := openCounts(b, e, state.Config{})
	benchCount(b, s, keysOf(1_000_000))
}

func openCounts(tb testing.TB, e state.Engine, c state.Config) (*state.KeyValue[string, int64], *state.DB) {
	tb.Helper()
	db, err := state.NewDB(e, c)
	must(tb, err)
	tb.Cleanup(func() { must(tb, db.Close()) })
	spec := state.KeyValueSpec("counts", stringSerde{}, int64Serde{})
	p, err := db.Partition(spec, 0)
	must(tb, err)
	must(tb, p.Reset(state.Position{}))
	l, err := spec.Open(state.Env{Committed: p, Changelog: &discard{}})
	must(tb, err)
	return l.(*state.KeyValue[string, int64]), db
}

func benchCount(b *testing.B, s *state.KeyValue[string, int64], keys []string) {
	rng := rand.New(rand.NewPCG(1, 2))
	picks := make([]uint32, 1<<20)
	for i := range picks {
		picks[i] = rng.Uint32N(uint32(len(keys)))
	}
	next, offset := 0, int64(0)
	one := func() {
		e, err := s.At(keys[picks[next&(1<<20-1)]])
		if err != nil {
			b.Fatal(err)
		}
		v, _ := e.Value()
		if err := e.Set(v+1, int64(next), serde.Headers{}); err != nil {
			b.Fatal(err)
		}
		if next++; next%commitEvery == 0 {
			offset += commitEvery
			if err := commit(s, offset); err != nil {
				b.Fatal(err)
			}
		}
	}
	for range 2 * len(keys) {
		one()
	}
	b.ReportAllocs()
	cpu := cpuTime()
	for b.Loop() {
		one()
	}
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
}

func commit[V any](s *state.KeyValue[string, V], next int64) error {
	if err := s.Changes(func(string, state.Change[V], int64, serde.Headers) error { return nil }); err != nil {
		return err
	}
	if err := s.Flush(); err != nil {
		return err
	}
	return s.Commit(next)
}

// BenchmarkWindowCount counts records of 1,000 keys in windows of a minute while event time goes on.
func BenchmarkWindowCount(b *testing.B) {
	db, err := state.NewDB(memstore.New(), state.Config{})
	must(b, err)
	b.Cleanup(func() { must(b, db.Close()) })
	spec := state.WindowSpec("counts", stringSerde{}, int64Serde{}, time.Minute, time.Hour)
	p, err := db.Partition(spec, 0)
	must(b, err)
	must(b, p.Reset(state.Position{}))
	l, err := spec.Open(state.Env{Committed: p, Changelog: &discard{}})
	must(b, err)
	s := l.(*state.Window[string, int64])
	keys := keysOf(1000)
	rng := rand.New(rand.NewPCG(1, 2))
	n := int64(0)
	b.ReportAllocs()
	cpu := cpuTime()
	for b.Loop() {
		at := n * 2 // 30,000 records a window
		e, err := s.At(keys[rng.Uint32N(1000)], at-at%60_000)
		must(b, err)
		v, _ := e.Value()
		must(b, e.Set(v+1, at, serde.Headers{}))
		if n++; n%commitEvery == 0 {
			must(b, s.Changes(func(string, int64, state.Change[int64], int64, serde.Headers) error { return nil }))
			must(b, s.Flush())
			must(b, s.Commit(n))
		}
	}
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
}

// BenchmarkJoinWindow is what a stream-stream join within 500 ms does with its stores for each record: it adds it to one, and looks for its key in the
// other. About one is found. A transaction is what a tenth of a second leaves to one of four tasks.
func BenchmarkJoinWindow(b *testing.B) {
	e, err := pebblestore.Open(b.TempDir(), pebblestore.Options{})
	must(b, err)
	db, err := state.NewDB(e, state.Config{})
	must(b, err)
	b.Cleanup(func() { must(b, db.Close()) })
	var sides [2]*state.JoinWindow[string, []byte]
	for i := range sides {
		spec := state.JoinWindowSpec(fmt.Sprint("side", i), serde.String, serde.Bytes, time.Second, 11*time.Second)
		p, err := db.Partition(spec, 0)
		must(b, err)
		must(b, p.Reset(state.Position{}))
		l, err := spec.Open(state.Env{Committed: p, Changelog: &discard{}})
		must(b, err)
		sides[i] = l.(*state.JoinWindow[string, []byte])
	}
	keys, value := keysOf(2500), make([]byte, 100)
	rng := rand.New(rand.NewPCG(1, 2))
	n := int64(0)
	b.ReportAllocs()
	cpu := cpuTime()
	for b.Loop() {
		at := n / 5 // 2,500 records a second and side
		key, mine, other := keys[rng.Uint32N(2500)], sides[n%2], sides[(n+1)%2]
		must(b, mine.Add(key, value, at, serde.Headers{}))
		must(b, other.Each(key, at-500, at+500, func([]byte, int64) error { return nil }))
		if n++; n%8000 == 0 {
			for _, s := range sides {
				must(b, s.Flush())
				must(b, s.Commit(n))
			}
		}
	}
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
}

func must(tb testing.TB, err error) {
	if err != nil {
		tb.Helper()
		tb.Fatal(err)
	}
}

// BenchmarkReference does what BenchmarkCountHot does with a map of Go, without layers, time, changes or changelog.
func BenchmarkReference(b *testing.B) {
	keys := keysOf(10_000)
	rng := rand.New(rand.NewPCG(1, 2))
	picks := make([]uint32, 1<<20)
	for i := range picks {
		picks[i] = rng.Uint32N(uint32(len(keys)))
	}
	m := map[string]int64{}
	n := 0
	cpu := cpuTime()
	for b.Loop() {
		m[keys[picks[n&(1<<20-1)]]]++
		n++
	}
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
}

// BenchmarkRestore restores a million shuffled keys, of 24 bytes with values of 8, into an empty store on disk, up to where a task
// may run. One by one it pays hash, table, log, sort and memtable for each, about 2 µs of CPU; in bulk log, sort and table: 0.7 µs,
// compression, filters and checksums included.
func BenchmarkRestore(b *testing.B) {
	const n = 1_000_000
	keys := make([]byte, 0, n*24) // as they come from a log: one behind the other
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		keys = fmt.Appendf(keys, "key-%020d", i)
	}
	for _, bulk := range []bool{false, true} {
		b.Run(map[bool]string{false: "one by one", true: "bulk"}[bulk], func(b *testing.B) {
			for b.Loop() {
				cpu := cpuTime()
				benchRestore(b, keys, bulk)
				b.ReportMetric(float64(cpuTime()-cpu)/n, "cpu-ns/record")
			}
		})
	}
}

func benchRestore(b *testing.B, keys []byte, bulk bool) {
	n := len(keys) / 24
	e, err := pebblestore.Open(b.TempDir(), pebblestore.Options{})
	must(b, err)
	db, err := state.NewDB(e, state.Config{})
	must(b, err)
	p, err := db.Partition(state.KeyValueSpec("counts", stringSerde{}, int64Serde{}), 0)
	must(b, err)
	must(b, p.Reset(state.Position{}))
	if bulk {
		if ok, err := p.BeginBulk(int64(n)); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
	var value [8]byte
	for i := range n {
		must(b, p.Restore(keys[24*i:24*i+24], value[:], 1))
		if i%10_000 == 9_999 {
			must(b, p.RestoredTo(int64(i+1)))
		}
	}
	must(b, p.EndBulk())
	must(b, db.Sync())
	must(b, db.Close())
}
