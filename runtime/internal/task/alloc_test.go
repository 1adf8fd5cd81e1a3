package task_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// number is a serde that costs next to nothing, so that the core is what is measured.
type number struct{}

func (number) Append(dst []byte, v int64) ([]byte, error) {
	return append(dst, byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v)), nil
}

func (number) Decode(b []byte) (int64, error) {
	_ = b[7]
	return int64(b[0])<<56 | int64(b[1])<<48 | int64(b[2])<<40 | int64(b[3])<<32 | int64(b[4])<<24 | int64(b[5])<<16 | int64(b[6])<<8 | int64(b[7]), nil
}

// add is an operator by hand: a closure that calls the next one.
func add(name string) *topology.Node {
	return &topology.Node{
		Name: name,
		In:   []topology.Edge{topology.EdgeOf[int64, int64]()},
		Out:  topology.EdgeOf[int64, int64](),
		Fan:  topology.Fan[int64, int64],
		Build: func(_ topology.Scope, down any) (topology.Instance, error) {
			emit := down.(topology.Emit[int64, int64])
			return topology.Instance{Ports: []any{topology.Emit[int64, int64](func(r topology.Record[int64, int64]) {
				r.Value++
				emit(r)
			})}}, nil
		},
	}
}

// discard is an Output that takes everything.
type discard struct{ n int }

func (*discard) Partitions(string) int32 { return 4 }

func (d *discard) Send(string, int32, *topology.Raw, *task.Origin) error { d.n++; return nil }

// endless is a batch of n equal records, which can be read again.
type endless struct {
	value  []byte
	n, i   int
	offset int64
}

func (b *endless) Next(r *topology.Raw) (bool, error) {
	if b.i == b.n {
		return false, nil
	}
	r.Key, r.Value, r.Timestamp, r.Offset = b.value, b.value, 1, b.offset
	b.i++
	b.offset++
	return true, nil
}
func (b *endless) End() int64         { return b.offset }
func (b *endless) LeaderEpoch() int32 { return 0 }
func (b *endless) Bytes() int         { return b.n }
func (b *endless) Release()           {}

// line is source -> five operators -> sink.
func line(tb testing.TB) (*task.Task, *discard) {
	tb.Helper()
	b := topology.NewBuilder()
	parent := b.Add(topology.NewSource("source", []string{"in"}, number{}, number{}))
	for _, name := range []string{"1", "2", "3", "4", "5"} {
		id := b.Add(add(name))
		b.Connect(parent, id, 0)
		parent = id
	}
	b.Connect(parent, b.Add(topology.NewSink("sink", "out", number{}, number{})), 0)
	top, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	out := &discard{}
	t, err := task.New(task.Config{Topology: top, ApplicationID: "app", Output: out})
	if err != nil {
		tb.Fatal(err)
	}
	return t, out
}

func step(tb testing.TB, t *task.Task, b *endless) {
	b.i = 0
	if err := t.Offer(task.Input{Topic: "in"}, b); err != nil {
		tb.Fatal(err)
	}
	if n, _, err := t.Step(time.UnixMilli(1), b.n); n != b.n || err != nil {
		tb.Fatal(n, err)
	}
}

func TestNoAllocationPerRecord(t *testing.T) {
	tk, out := line(t)
	b := &endless{value: make([]byte, 8), n: 1000}
	allocs := testing.AllocsPerRun(10, func() { step(t, tk, b) })
	if allocs > 0 {
		t.Errorf("%v allocations for 1000 records through 5 operators", allocs)
	}
	if out.n != 11*1000 {
		t.Errorf("%d records came out", out.n)
	}
}

// BenchmarkLine is the whole core for one record: queue, choice, decode, five operators, encode, partition, send. Expected
// 60 ns without the serdes, which do 8 bytes each here, and murmur2 of 8 bytes, 5 ns.
func BenchmarkLine(b *testing.B) {
	tk, _ := line(b)
	batch := &endless{value: make([]byte, 8), n: 1000}
	b.ReportAllocs()
	for b.Loop() {
		step(b, tk, batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}
