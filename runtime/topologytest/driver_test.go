package topologytest_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// T-02, T-03: a record is processed to the end, through the repartition topic, with a commit after each (T-01, T-10, T-14).
func TestWordCount(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, wordCount(t))
	in := topologytest.NewInput(d, "lines", serde.String, serde.String)
	out := topologytest.NewOutput(d, "counts", serde.String, serde.Int64)
	in.PipeAt("k", "to be or", 5)
	in.PipeAt("k", "not to be", 3)
	if got := rows(out.ReadAll()); got != "to=1@5 be=1@5 or=1@5 not=1@3 to=2@5 be=2@5" {
		t.Errorf("counts %s", got)
	}
	store := topologytest.StoreOf[*state.KeyValue[string, int64]](d, "counts")
	if n, at, ok, err := store.Get("to"); n != 2 || at != 5 || !ok || err != nil {
		t.Errorf("store has %d at %d, %v, %v", n, at, ok, err)
	}
	if got := fmt.Sprint(d.Topics()); got != "[app-counts-changelog app-counts-repartition counts lines]" {
		t.Errorf("topics %s", got)
	}
	if n := len(d.Records("app-counts-changelog")); n != 6 {
		t.Errorf("%d changelog records", n)
	}
	words := topologytest.NewOutput(d, "app-counts-repartition", serde.String, serde.String)
	if got := rows(words.ReadAll()); got != "to=to@5 be=be@5 or=or@5 not=not@3 to=to@3 be=be@3" {
		t.Errorf("repartition topic %s", got)
	}
	if out.Len() != 0 || words.Len() != 0 {
		t.Error("records were left")
	}
}

// between commits one change per key, in the order of last writes, with the headers of those (P-35).
func TestManualCommit(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, wordCount(t), topologytest.ManualCommit(), topologytest.ApplicationID("wc"))
	in := topologytest.NewInput(d, "lines", serde.String, serde.String)
	out := topologytest.NewOutput(d, "counts", serde.String, serde.Int64)
	r := topology.NewRecord("k", "a b a", 7)
	r.Headers = r.Headers.With("h", []byte("1"))
	in.PipeRecord(r)
	in.PipeAt("k", "c a", 4)
	if out.Len() != 0 {
		t.Errorf("%d records before the commit", out.Len())
	}
	d.Commit()
	all := out.ReadAll()
	if got := rows(all); got != "b=1@7 c=1@4 a=3@7" {
		t.Errorf("counts %s", got)
	}
	if v, ok := all[0].Headers.Last("h"); !ok || string(v) != "1" || len(all[1].Headers.All()) != 0 {
		t.Errorf("headers %v and %v", all[0].Headers.All(), all[1].Headers.All())
	}
	d.Commit()
	if out.Len() != 0 || len(d.Records("wc-counts-changelog")) != 3 {
		t.Errorf("a commit of nothing wrote; %d changelog records", len(d.Records("wc-counts-changelog")))
	}
}

func TestWindowedCount(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, windowCount(t))
	in := topologytest.NewInput(d, "in", serde.String, serde.String)
	out := topologytest.NewOutput(d, "out", serde.String, serde.Int64)
	for _, at := range []int64{0, 9, 10, 5, 31, 5, 29, 39} { // 31 closes [0,10): 0+10+20 <= 31
		in.PipeAt("k", "v", at)
	}
	if got := rows(out.ReadAll()); got != "k@0=1@0 k@0=2@9 k@10=1@10 k@0=3@9 k@30=1@31 k@20=1@29 k@30=2@39" {
		t.Errorf("counts %s", got)
	}
	want := []topologytest.Drop{{Node: "count", Reason: topology.ReasonLate, Count: 1}}
	if got := d.Drops(); fmt.Sprint(got) != fmt.Sprint(want) || d.Dropped() != 1 {
		t.Errorf("drops %v", got)
	}
	store := topologytest.StoreOf[*state.Window[string, int64]](d, "windows")
	if n, _, ok, err := store.Get("k", 30); n != 2 || !ok || err != nil {
		t.Errorf("store has %d, %v, %v", n, ok, err)
	}
}

// The same input on the same clock gives the same output, byte for byte, in every topic.
func TestDeterminism(t *testing.T) {
	t.Parallel()
	run := func(manual bool) string {
		rng, commits := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(3, 4))
		var options []topologytest.Option
		if manual {
			options = append(options, topologytest.ManualCommit())
		}
		d := topologytest.New(t, wordCount(t), options...)
		in := topologytest.NewInput(d, "lines", serde.String, serde.String)
		for range 300 {
			in.PipeAt("k", fmt.Sprintf("w%d w%d w%d", rng.IntN(20), rng.IntN(20), rng.IntN(20)), int64(rng.IntN(1000)))
			if manual && commits.IntN(10) == 0 {
				d.Commit()
			}
		}
		d.Commit()
		var b strings.Builder
		for _, topic := range d.Topics() {
			for _, r := range d.Records(topic) {
				fmt.Fprintf(&b, "%s %d %x=%x@%d\n", topic, r.Offset, r.Key, r.Value, r.Timestamp)
			}
		}
		return b.String()
	}
	for _, manual := range []bool{false, true} {
		if first := run(manual); first != run(manual) || len(first) < 1000 {
			t.Errorf("manual %v: two runs differ, or wrote next to nothing: %d bytes", manual, len(first))
		}
	}
	// Metamorphic: when one commits does not change the final table.
	last := func(s string) map[string]string {
		m := map[string]string{}
		for line := range strings.Lines(s) {
			if f := strings.Fields(line); f[0] == "counts" {
				k, v, _ := strings.Cut(f[2], "=")
				m[k] = v
			}
		}
		return m
	}
	if each, manual := last(run(false)), last(run(true)); len(each) != 20 || fmt.Sprint(each) != fmt.Sprint(manual) {
		t.Errorf("final tables differ:\n%v\n%v", each, manual)
	}
}

// enricher looks a value up in a global table.
type enricher struct {
	table topology.Store[*state.Global[string, string]]
	g     *state.Global[string, string]
	ctx   *topology.Context[string, string]
}

func (e *enricher) Init(ctx *topology.Context[string, string]) (err error) {
	e.ctx = ctx
	e.g, err = e.table.In(ctx)
	return err
}

func (e *enricher) Process(r topology.Record[string, string]) error {
	v, _, ok, err := e.g.Get(r.Value)
	if err != nil {
		return err
	}
	if !ok {
		e.ctx.Drop("unknown airport", nil)
		return nil
	}
	e.ctx.Forward(topology.WithValue(r, v))
	return nil
}

func (e *enricher) Close() error { return nil }

// T-09: a global table's record is applied at once.
func TestGlobalTable(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	flights := topology.AddSource(b, "flights", "flights", serde.String, serde.String)
	airports := topology.AddGlobalTable[*state.Global[string, string]](b, "airports", "airports", state.GlobalSpec("airports", serde.String, serde.String))
	cities := topology.AddProcessor(b, "enrich", func() *enricher { return &enricher{table: airports} }, flights, airports)
	topology.AddSink(b, "out", "out", serde.String, serde.String, cities)
	d := topologytest.New(t, build(t, b))

	table := topologytest.NewInput(d, "airports", serde.String, serde.String)
	in := topologytest.NewInput(d, "flights", serde.String, serde.String)
	out := topologytest.NewOutput(d, "out", serde.String, serde.String)
	in.PipeAt("1", "DTW", 1)
	table.Pipe("DTW", "Detroit, MI")
	in.PipeAt("2", "DTW", 2)
	table.PipeRecord(topology.Tombstone[string, string]("DTW", 3))
	in.PipeAt("3", "DTW", 3)
	if got := rows(out.ReadAll()); got != "2=Detroit, MI@2" {
		t.Errorf("out %s", got)
	}
	if got := d.Drops(); len(got) != 1 || got[0] != (topologytest.Drop{Node: "enrich", Reason: "unknown airport", Count: 2}) {
		t.Errorf("drops %v", got)
	}
	if n := topologytest.StoreOf[*state.Global[string, string]](d, "airports").Len(); n != 0 {
		t.Errorf("the table holds %d keys", n)
	}
}

// clock emits on every punctuation of the wall clock.
type clock struct{ splitter }

func (c *clock) Init(ctx *topology.Context[string, string]) error {
	ctx.Schedule(10*time.Millisecond, topology.PunctuateWallClock, func(now int64) error {
		ctx.Forward(topology.NewRecord("tick", fmt.Sprint(ctx.CurrentTime()), now))
		return nil
	})
	return c.splitter.Init(ctx)
}

// T-04: the wall clock moves on request, and punctuates once however far.
func TestWallClock(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source", "in", serde.String, serde.String)
	topology.AddSink(b, "out", "out", serde.String, serde.String, topology.AddProcessor(b, "clock", func() *clock { return &clock{} }, src))
	d := topologytest.New(t, build(t, b), topologytest.StartAt(time.UnixMilli(1000)))
	out := topologytest.NewOutput(d, "out", serde.String, serde.String)
	d.AdvanceWallClock(9 * time.Millisecond)
	d.AdvanceWallClock(time.Millisecond)
	d.AdvanceWallClock(35 * time.Millisecond)
	topologytest.NewInput(d, "in", serde.String, serde.String).Pipe("k", "word") // at the wall clock
	if got := rows(out.ReadAll()); got != "tick=1010@1010 tick=1045@1045 word=word@1045" || d.Now().UnixMilli() != 1045 {
		t.Errorf("out %s", got)
	}
}

// T-11: with idling, a record waits for the other input until time is advanced.
func TestMaxIdle(t *testing.T) {
	t.Parallel()
	b := topology.NewBuilder()
	src := topology.AddSource(b, "a", "a", serde.String, serde.String).And(topology.AddSource(b, "b", "b", serde.String, serde.String))
	topology.AddSink(b, "out", "out", serde.String, serde.String, src)
	d := topologytest.New(t, build(t, b), topologytest.MaxIdle(time.Second))
	out := topologytest.NewOutput(d, "out", serde.String, serde.String)
	a := topologytest.NewInput(d, "a", serde.String, serde.String).StartAt(time.UnixMilli(10), 5*time.Millisecond)
	a.Pipe("k", "1")
	a.Pipe("k", "2")
	if out.Len() != 0 {
		t.Errorf("%d records while b is empty", out.Len())
	}
	topologytest.NewInput(d, "b", serde.String, serde.String).PipeAt("k", "0", 3)
	if got := rows(out.ReadAll()); got != "k=0@3" {
		t.Errorf("out %s", got)
	}
	d.AdvanceWallClock(time.Second)
	if got := rows(out.ReadAll()); got != "k=1@10 k=2@15" {
		t.Errorf("out %s", got)
	}
}

func TestHandlersAndLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	skip := func(topologytest.Failure) topologytest.Response { return topologytest.Continue }
	d := topologytest.New(t, wordCount(t), topologytest.OnDeserialization(skip), topologytest.OnProcessing(skip),
		topologytest.OnProduction(skip), topologytest.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	in := topologytest.NewInput(d, "lines", serde.String, serde.String)
	in.PipeAt("k", "before fail after", 1)
	in.PipeAt("k", "nobody", 2)
	counts := topologytest.NewOutput(d, "counts", serde.String, serde.Int64)
	if got := topologytest.Latest(counts); len(got) != 1 || got["before"] != 1 {
		t.Errorf("counts %v", got)
	}
	if err := d.TryPipeRaw("counts-repartition", topology.Raw{Key: []byte("k"), Timestamp: -5}); err != nil {
		t.Error(err)
	}
	want := "[{counts-sink null key before repartition 1} {counts-source invalid timestamp 1} {split processing 1}]"
	if got := fmt.Sprint(d.Drops()); got != want {
		t.Errorf("drops %s", got)
	}
	if s := log.String(); !strings.Contains(s, "offset=0 node=split reason=processing err=fail") {
		t.Errorf("log %s", s)
	}
}

// An error stops the driver.
func TestErrors(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, wordCount(t))
	in := topologytest.NewInput(d, "lines", serde.String, serde.String)
	if err := topologytest.NewInput(d, "strange", serde.String, serde.String).TryPipe(topology.NewRecord("k", "v", 1)); err == nil ||
		err.Error() != "topic strange: the topology does not read it; it reads lines" {
		t.Errorf("pipe into a strange topic: %v", err)
	}
	err := in.TryPipe(topology.NewRecord("k", "one fail", 1))
	if !errors.Is(err, errFail) || err.Error() != "task 0_0: node split: lines-0 at offset 0: fail" {
		t.Errorf("pipe: %v", err)
	}
	for name, again := range map[string]error{
		"pipe": in.TryPipe(topology.NewRecord("k", "two", 1)), "commit": d.TryCommit(), "clock": d.TryAdvanceWallClock(time.Second),
	} {
		if !errors.Is(again, err) {
			t.Errorf("%s after the failure: %v", name, again)
		}
	}
}
