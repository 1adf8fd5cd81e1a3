package runtime_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

type countStore = state.Global[string, int64]

// tally counts words in a global store. It panics at poison.
type tally struct{ counts *countStore }

func (c *tally) Init(_ *topology.GlobalContext, counts *countStore) error {
	c.counts = counts
	return nil
}

func (c *tally) Process(r topology.Record[string, string]) error {
	if r.Value == "poison" {
		panic(errPoison)
	}
	n, _, _, err := c.counts.Get(r.Value)
	if err != nil {
		return err
	}
	return c.counts.Put(r.Value, n+1, r.Timestamp)
}

func (c *tally) Close() error { return nil }

// lookUp answers a question by the count of the word that it asks about.
type lookUp struct {
	store  topology.Store[*countStore]
	counts *countStore
	ctx    *topology.Context[string, string]
}

func (l *lookUp) Init(ctx *topology.Context[string, string]) (err error) {
	l.ctx = ctx
	l.counts, err = l.store.In(ctx)
	return err
}

func (l *lookUp) Process(r topology.Record[string, string]) error {
	n, _, _, err := l.counts.Get(r.Value)
	l.ctx.Forward(topology.NewRecord(r.Key, fmt.Sprintf("%s:%d", r.Value, n), r.Timestamp))
	return err
}

func (l *lookUp) Close() error { return nil }

func tallyTopology(t *testing.T, words, in, out string) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder()
	store := topology.AddGlobalStore(b, "tally", words, serde.String, serde.String,
		state.GlobalSpec("tally", serde.String, serde.Int64), func() *tally { return &tally{} })
	questions := topology.AddSource(b, "questions", in, serde.String, serde.String)
	answers := topology.AddProcessor(b, "look-up", func() *lookUp { return &lookUp{store: store} }, questions)
	topology.AddSink(b, "answers", out, serde.String, serde.String, answers)
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// TestGlobalStore: before the first record of an instance, all records of the topic have run through the processor of its global store, at every
// start, and those that come later do beside the tasks (D-04). What it fails with stops the instance unless its handler lets it pass (P-27).
func TestGlobalStore(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, words, in, out := unique(t, "app"), unique(t, "words"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 2, words)
	l.createTopics(t, 1, in, out)
	var asked atomic.Int64
	cfg := runtime.Config{ApplicationID: app, StateDir: t.TempDir(), Workers: 1}
	cfg.GlobalProcessing = func(f runtime.Failure) runtime.Response {
		if f.Node == "tally" && errors.Is(f.Err, errPoison) && string(f.Raw.Value) == "poison" {
			asked.Add(1)
		}
		return runtime.Continue
	}
	answers := func() (list []string) {
		for _, r := range l.read(t, out) {
			list = append(list, r.value)
		}
		return list
	}
	ask := func(word string) {
		n := len(answers())
		l.write(t, in, []record{{key: "q", value: word}})
		eventually(t, time.Minute, "an answer", func() bool { return len(answers()) > n })
	}

	l.write(t, words, []record{{partition: 0, value: "a"}, {partition: 0, value: "poison"}, {partition: 0, value: "b"}})
	l.write(t, words, []record{{partition: 1, value: "a"}})
	r := l.start(t, tallyTopology(t, words, in, out), cfg)
	ask("a")
	l.write(t, words, []record{{partition: 1, value: "c"}})
	eventually(t, time.Minute, "c is counted", func() bool { ask("c"); return slices.Contains(answers(), "c:1") })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	l.write(t, words, []record{{partition: 1, value: "a"}}) // while it is stopped
	r = l.start(t, tallyTopology(t, words, in, out), cfg)
	ask("a")
	ask("b")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(answers(), func(s string) bool { return strings.HasPrefix(s, "c") })
	if want := []string{"a:2", "a:3", "b:1"}; !slices.Equal(got, want) {
		t.Errorf("answers %q, want %q", got, want)
	}
	if asked.Load() != 2 {
		t.Errorf("the handler was asked %d times, want once a start", asked.Load())
	}

	cfg.GlobalProcessing = nil
	cfg.Processing = runtime.LogAndContinue // is for tasks
	err := l.start(t, tallyTopology(t, words, in, out), cfg).failure(t, time.Minute)
	if !errors.Is(err, errPoison) || !strings.Contains(fmt.Sprint(err), "global table tally: "+words+"-0 at offset 1") {
		t.Errorf("without a handler: %v", err)
	}
}
