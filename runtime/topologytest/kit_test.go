package topologytest_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// T-15: with several partitions there is a task for each, keys stay together behind the repartition, and the counts are the same.
func TestPartitions(t *testing.T) {
	t.Parallel()
	const n = 4
	text := "to be or not to be that is the question whether tis nobler in the mind to suffer"
	one, many := topologytest.New(t, wordCount(t)), topologytest.New(t, wordCount(t), topologytest.Partitions(n), topologytest.Partitions(2, "counts"))
	var latest []map[string]int64
	for _, d := range []*topologytest.Driver{one, many} {
		in := topologytest.NewInput(d, "lines", serde.String, serde.String)
		for i, w := range strings.Fields(text) {
			in.PipeAt(fmt.Sprint("line", i), w, int64(i))
		}
		latest = append(latest, topologytest.Latest(topologytest.NewOutput(d, "counts", serde.String, serde.Int64)))
	}
	if fmt.Sprint(latest[0]) != fmt.Sprint(latest[1]) {
		t.Errorf("one partition counts %v, several %v", latest[0], latest[1])
	}
	used := 0
	for p := range int32(n) {
		if len(many.RecordsOf("lines", p)) > 0 {
			used++
		}
		store := topologytest.StoreAt[*state.KeyValue[string, int64]](many, "counts", p)
		for row, err := range store.Range(serde.None[string](), serde.None[string]()) {
			if want := topology.PartitionOf([]byte(row.Key), n); err != nil || want != p {
				t.Errorf("%q lies in partition %d, want %d: %v", row.Key, p, want, err)
			}
		}
		for _, r := range many.RecordsOf("app-counts-changelog", p) {
			if topology.PartitionOf(r.Key, n) != p {
				t.Errorf("changelog of partition %d has %q", p, r.Key)
			}
		}
	}
	out := topologytest.NewOutput(many, "counts", serde.String, serde.Int64)
	for out.Len() > 0 {
		p := out.Partition()
		if r := out.Read(); topology.PartitionOf([]byte(r.Key), 2) != p {
			t.Errorf("%q was written to partition %d", r.Key, p)
		}
	}
	if used < 2 || out.Partition() != -1 {
		t.Errorf("%d partitions were used; after the end: %d", used, out.Partition())
	}
	if err := many.TryPipeRawTo("lines", n, topology.Raw{}); err == nil || !strings.Contains(err.Error(), "partitions 0 to 3") {
		t.Errorf("a partition that is not there: %v", err)
	}
	if err := many.TryPipeRawTo("lines", 3, topology.Raw{Value: []byte("word")}); err != nil {
		t.Error(err)
	}
}

// A trace shows each node that a record comes to, and what is written.
func TestTrace(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	d := topologytest.New(t, wordCount(t), topologytest.Trace(&text), topologytest.OnProcessing(func(topologytest.Failure) topologytest.Response {
		return topologytest.Continue
	}))
	in := topologytest.NewInput(d, "lines", serde.String, serde.String)
	in.PipeAt("k", "a nobody", 5)
	in.PipeRecord(topology.Tombstone[string, string]("t", 6))
	in.PipeAt("k", "fail", 7)
	topologytest.Golden(t, "testdata/trace.txt", text.String())
}

// Golden compares, and writes if it is asked to.
func TestGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "golden.txt")
	missing, other := &failures{TB: t}, &failures{TB: t}
	t.Run("missing", func(*testing.T) {
		func() {
			defer func() { _ = recover() }()
			topologytest.Golden(missing, path, "a\nb\n")
		}()
	})
	t.Setenv(topologytest.UpdateGolden, "1")
	topologytest.Golden(t, path, "a\nb\n")
	if b, err := os.ReadFile(path); err != nil || string(b) != "a\nb\n" {
		t.Fatalf("written %q, %v", b, err)
	}
	t.Setenv(topologytest.UpdateGolden, "")
	topologytest.Golden(t, path, "a\nb\n")
	topologytest.Golden(other, path, "a\nc\n")
	if !strings.Contains(missing.text, "MILLRACE_UPDATE_GOLDEN=1") || !strings.Contains(other.text, `line 2 is "c", want "b"`) {
		t.Errorf("missing: %s\nother: %s", missing.text, other.text)
	}
}

// failures takes what a helper says about a failure.
type failures struct {
	testing.TB
	text string
}

func (f *failures) Helper()                      {}
func (f *failures) Errorf(s string, args ...any) { f.text += fmt.Sprintf(s, args...) }
func (f *failures) Fatalf(s string, args ...any) { f.Errorf(s, args...); panic(f) }

// OutOfOrder never lets a record come later than allowed, gives equal orders for equal seeds, and does not just leave all in order.
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	var records []topology.Record[string, int]
	for i := range 500 {
		records = append(records, topology.NewRecord("k", i, int64(i)))
	}
	for seed := range uint64(20) {
		late := time.Duration(rand.New(rand.NewPCG(seed, 1)).Int64N(50)+2) * time.Millisecond
		got := topologytest.OutOfOrder(seed, late, records)
		newest, disordered := int64(-1), false
		for _, r := range got {
			if newest-r.Timestamp > late.Milliseconds() {
				t.Fatalf("seed %d: %d comes after %d, more than %v late", seed, r.Timestamp, newest, late)
			}
			disordered = disordered || r.Timestamp < newest
			newest = max(newest, r.Timestamp)
		}
		if !disordered || len(got) != len(records) {
			t.Errorf("seed %d: %d records, out of order: %v", seed, len(got), disordered)
		}
		if again := topologytest.OutOfOrder(seed, late, records); fmt.Sprint(again) != fmt.Sprint(got) {
			t.Errorf("seed %d gives two orders", seed)
		}
	}
	if got := topologytest.OutOfOrder(1, 0, got3()); rows(got) != "a=1@1 b=2@2 c=3@2" {
		t.Errorf("without lateness: %s", rows(got))
	}
}

func got3() []topology.Record[string, int] {
	return []topology.Record[string, int]{topology.NewRecord("b", 2, 2), topology.NewRecord("c", 3, 2), topology.NewRecord("a", 1, 1)}
}

// T-05, T-06: records in one call, and rendered output (T-07).
func TestPipeAllAndRender(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, wordCount(t))
	in := topologytest.NewInput(d, "lines", serde.String, serde.String)
	r := topology.NewRecord("k", "b", 2)
	r.Headers = r.Headers.With("h", []byte("1"))
	in.PipeAll(topology.NewRecord("k", "a", 1), r)
	if got, want := topologytest.Render(topologytest.NewOutput(d, "counts", serde.String, serde.Int64)), "a=1 @1\nb=1 @2 h:\"1\"\n"; got != want {
		t.Errorf("rendered %q, want %q", got, want)
	}
}

// reporter counts values and reports at punctuations of both kinds; "ask" asks for a commit, "to" sends to a child, "fail" fails.
type reporter struct {
	store  topology.Store[*state.KeyValue[string, int64]]
	kv     *state.KeyValue[string, int64]
	ctx    *topology.Context[string, string]
	cancel func()
	closed *bool
}

func (p *reporter) Init(ctx *topology.Context[string, string]) (err error) {
	p.ctx = ctx
	report := func(now int64) error {
		if now == 0 {
			return errFail
		}
		p.ctx.Forward(topology.NewRecord("report", fmt.Sprintf("at %d, stream %d, topic %q", now, ctx.StreamTime(), ctx.Metadata().Topic), now))
		return nil
	}
	p.cancel = ctx.Schedule(time.Second, topology.PunctuateWallClock, report)
	ctx.Schedule(time.Minute, topology.PunctuateStreamTime, report)
	p.kv, err = p.store.In(ctx)
	return err
}

func (p *reporter) Process(r topology.Record[string, string]) error {
	switch r.Value {
	case "ask":
		p.ctx.RequestCommit()
	case "to":
		return p.ctx.ForwardTo("audit", topology.WithValue(r, fmt.Sprint(p.ctx.Metadata().Offset)))
	case "fail":
		return errFail
	case "drop":
		p.ctx.Drop(topology.ReasonNullKey, nil)
	case "stop":
		p.cancel()
	default:
		n, _, _, err := p.kv.Get(r.Key)
		if err != nil {
			return err
		}
		return p.kv.Put(r.Key, n+1, r.Timestamp, r.Headers)
	}
	return nil
}

func (p *reporter) Flush() error { p.ctx.Forward(topology.NewRecord("flush", "", 0)); return nil }
func (p *reporter) Close() error { *p.closed = true; return nil }

// T-13: a processor alone, with everything that it does to its context.
func TestMock(t *testing.T) {
	t.Parallel()
	closed := false
	t.Run("runs", func(t *testing.T) {
		b := topology.NewBuilder()
		spec := state.KeyValueSpec("counts", serde.String, serde.Int64)
		store := topology.AddStore[*state.KeyValue[string, int64]](b, spec)
		newReporter := func() *reporter { return &reporter{store: store, closed: &closed} }
		m := topologytest.NewMock(t, newReporter, topologytest.MockStore(spec), topologytest.MockChildren("audit"))
		m.Source = topology.Coordinates{Topic: "in", Partition: 2, Offset: 41}
		var faults []error
		for i, v := range []string{"a", "ask", "to", "fail", "drop"} {
			if err := m.Process(topology.NewRecord("k", v, int64(10*i))); err != nil {
				faults = append(faults, err)
			}
		}
		if len(faults) != 1 || faults[0].Error() != errFail.Error() || len(m.Failed) != 1 {
			t.Errorf("errors %v, failed %v", faults, m.Failed)
		}
		got := m.Forwarded()
		if len(got) != 1 || got[0].Child != "audit" || got[0].Record.Value != "41" || len(m.Forwarded()) != 0 {
			t.Errorf("forwarded %+v", got)
		}
		if m.Commits != 1 || !slices.Equal(m.Drops, []topology.Reason{topology.ReasonNullKey}) || m.StreamTime != 40 {
			t.Errorf("%d commits, drops %v, stream time %d", m.Commits, m.Drops, m.StreamTime)
		}
		if n, _, _, err := topologytest.MockStoreOf[*state.KeyValue[string, int64]](t, m, "counts").Get("k"); n != 1 || err != nil {
			t.Errorf("the store has %d, %v", n, err)
		}
		fireAll(t, m)
		if err := m.Flush(); err != nil || rows(records(m.Forwarded())) != "flush=@0" {
			t.Errorf("flush: %v", err)
		}
	})
	if !closed {
		t.Error("the processor was not closed")
	}
}

func fireAll(t *testing.T, m *topologytest.Mock[string, string, string, string]) {
	t.Helper()
	schedules := m.Schedules()
	if len(schedules) != 2 || schedules[0].Interval != time.Second || schedules[0].Kind != topology.PunctuateWallClock ||
		schedules[1].Kind != topology.PunctuateStreamTime {
		t.Fatalf("schedules %+v", schedules)
	}
	for _, s := range schedules {
		if err := s.Fire(time.UnixMilli(70)); err != nil {
			t.Error(err)
		}
	}
	want := `report=at 70, stream 40, topic ""@70 report=at 70, stream 40, topic ""@70`
	if got := rows(records(m.Forwarded())); got != want {
		t.Errorf("reports %s", got)
	}
	if err := schedules[1].Fire(time.UnixMilli(0)); err == nil || len(m.Failed) != 2 {
		t.Errorf("a punctuation that fails: %v, %v", err, m.Failed)
	}
	if err := m.Process(topology.NewRecord("k", "stop", 50)); err != nil || !schedules[0].Cancelled || schedules[0].Fire(m.Now) == nil {
		t.Errorf("a schedule that was cancelled fires: %v", err)
	}
}

func records[K, V any](forwarded []topologytest.Forwarded[K, V]) (list []topology.Record[K, V]) {
	for _, f := range forwarded {
		list = append(list, f.Record)
	}
	return list
}
