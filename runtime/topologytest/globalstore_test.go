package topologytest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

type countryStore = state.Global[string, int64]

// census counts cities by country; of records "city=country" a null value says that the city is gone, which it cannot know more of.
type census struct {
	ctx    *topology.GlobalContext
	counts *countryStore
	seen   []string
	closed *bool
}

func (c *census) Init(ctx *topology.GlobalContext, counts *countryStore) error {
	c.ctx, c.counts = ctx, counts
	c.seen = append(c.seen, fmt.Sprint(ctx.Metadata()))
	return nil
}

func (c *census) Process(r topology.Record[string, string]) error {
	from := c.ctx.Metadata()
	c.seen = append(c.seen, fmt.Sprintf("%s %v=%s@%d %s-%d-%d %d", r.Headers.All(), r.HasKey(), r.Value, r.Timestamp, from.Topic, from.Partition, from.Offset, c.ctx.CurrentTime()))
	switch {
	case !r.HasValue():
		c.ctx.Drop("gone", nil)
		return nil
	case r.Value == "Atlantis":
		return errAtlantis
	case r.Value == "Mu":
		panic(errAtlantis)
	case r.Value == "Void":
		return c.counts.Delete("Italy")
	}
	n, _, _, err := c.counts.Get(r.Value)
	if err != nil {
		return err
	}
	return c.counts.Put(r.Value, n+1, r.Timestamp)
}

func (c *census) Close() error {
	*c.closed = true
	return nil
}

var (
	errAtlantis = errors.New("there is no such country")
	errHandler  = errors.New("the handler is at its wits' end")
)

// asker looks countries up in the census.
type asker struct {
	store  topology.Store[*countryStore]
	counts *countryStore
	ctx    *topology.Context[string, int64]
}

func (a *asker) Init(ctx *topology.Context[string, int64]) (err error) {
	a.ctx = ctx
	a.counts, err = a.store.In(ctx)
	return err
}

func (a *asker) Process(r topology.Record[string, string]) error {
	n, t, ok, err := a.counts.Get(r.Value)
	if ok && err == nil {
		a.ctx.Forward(topology.NewRecord(r.Value, n, t))
	}
	return err
}

func (a *asker) Close() error { return nil }

// censusTopology reads questions, and cities into the census.
func censusTopology(t *testing.T, opts ...topology.SourceOption[string, string]) (top *topology.Topology, c *census, closed *bool) {
	t.Helper()
	closed = new(bool)
	c = &census{closed: closed}
	b := topology.NewBuilder()
	spec := state.GlobalSpec("census", serde.String, serde.Int64)
	store := topology.AddGlobalStore(b, "count", "cities", serde.String, serde.String, spec, func() *census { return c }, opts...)
	questions := topology.AddSource(b, "questions", "questions", serde.String, serde.String)
	answers := topology.AddProcessor(b, "ask", func() *asker { return &asker{store: store} }, questions)
	topology.AddSink(b, "answers", "answers", serde.String, serde.Int64, answers)
	return build(t, b), c, closed
}

// TestGlobalStore: a processor of the user's makes of a topic's records what all tasks look up (D-04). It knows where a record came from and its
// time; what it fails with goes to its own handler, and to none if there is none (P-27).
func TestGlobalStore(t *testing.T) {
	t.Parallel()
	byValue := topology.WithExtractor(func(r topology.Record[string, string], _ topology.Coordinates, partitionTime int64) (int64, error) {
		if r.Value == "late" {
			return -1, nil
		}
		return max(partitionTime, r.Timestamp) + 100, nil
	})
	var top *topology.Topology
	var c *census
	var closed *bool
	t.Run("runs", func(t *testing.T) {
		var asked []string
		top, c, closed = censusTopology(t, byValue)
		d := topologytest.New(t, top, topologytest.StartAt(time.UnixMilli(7)), topologytest.OnGlobalProcessing(func(f topologytest.Failure) topologytest.Response {
			asked = append(asked, fmt.Sprintf("%s %d %s %v", f.Node, f.Source.Offset, f.Raw.Value, errors.Is(f.Err, errAtlantis)))
			return topologytest.Continue
		}), topologytest.OnProcessing(func(topologytest.Failure) topologytest.Response {
			t.Error("the handler of tasks is asked")
			return topologytest.Fail
		}))
		cities := topologytest.NewInput(d, "cities", serde.String, serde.String)
		ask := topologytest.NewInput(d, "questions", serde.String, serde.String)
		out := topologytest.NewOutput(d, "answers", serde.String, serde.Int64)
		ask.PipeAt("1", "Italy", 1)
		headed := topology.NewRecord("Rome", "Italy", 5)
		headed.Headers = headed.Headers.With("h", nil)
		cities.PipeRecord(headed)
		cities.PipeAt("Milan", "Italy", 6)
		for _, value := range []string{"Atlantis", "Mu", "late"} {
			cities.PipeAt("x", value, 6)
		}
		cities.PipeRecord(topology.Tombstone[string, string]("Rome", 6))
		ask.PipeAt("2", "Italy", 1)
		cities.PipeAt("x", "Void", 6)
		ask.PipeAt("3", "Italy", 1)
		if got := rowsOf(out.ReadAll()); got != "Italy=2@205" {
			t.Errorf("answers %s", got)
		}
		if want := []string{"count 2 Atlantis true", "count 3 Mu true"}; !slices.Equal(asked, want) {
			t.Errorf("asked about %q, want %q", asked, want)
		}
		want := []topologytest.Drop{{Node: "count", Reason: "gone", Count: 1}, {Node: "count", Reason: topology.ReasonTimestamp, Count: 1}, {Node: "count", Reason: topology.ReasonProcessing, Count: 2}}
		got := d.Drops()
		slices.SortFunc(got, func(a, b topologytest.Drop) int { return strings.Compare(string(a.Reason), string(b.Reason)) })
		slices.SortFunc(want, func(a, b topologytest.Drop) int { return strings.Compare(string(a.Reason), string(b.Reason)) })
		if !slices.Equal(got, want) {
			t.Errorf("drops %v, want %v", got, want)
		}
		seen := []string{"{cities -1 -1}", "[{h }] true=Italy@105 cities-0-0 7", "[] true=Italy@205 cities-0-1 7", "[] true=Atlantis@305 cities-0-2 7",
			"[] true=Mu@405 cities-0-3 7", "[] true=@505 cities-0-5 7", "[] true=Void@605 cities-0-6 7"}
		if !slices.Equal(c.seen, seen) {
			t.Errorf("it saw\n%q, want\n%q", c.seen, seen)
		}
	})
	if !*closed {
		t.Error("the processor was not closed")
	}
	for _, value := range []string{"Atlantis", "Mu"} {
		top, _, _ = censusTopology(t)
		d := topologytest.New(t, top, topologytest.OnProcessing(topologytest.LogAndContinue))
		err := d.TryPipeRaw("cities", topology.Raw{Key: []byte("x"), Value: []byte(value)})
		if !errors.Is(err, errAtlantis) || !strings.Contains(fmt.Sprint(err), "global table count: cities-0 at offset 0") {
			t.Errorf("%s without a handler: %v", value, err)
		}
		top, _, _ = censusTopology(t)
		d = topologytest.New(t, top, topologytest.OnGlobalProcessing(func(topologytest.Failure) topologytest.Response { panic(errHandler) }))
		if err := d.TryPipeRaw("cities", topology.Raw{Key: []byte("x"), Value: []byte(value)}); !errors.Is(err, errAtlantis) || !errors.Is(err, errHandler) {
			t.Errorf("%s with a handler that panics: %v", value, err)
		}
	}
}

func rowsOf(records []topology.Record[string, int64]) string {
	var list []string
	for _, r := range records {
		list = append(list, fmt.Sprintf("%s=%d@%d", r.Key, r.Value, r.Timestamp))
	}
	return strings.Join(list, " ")
}
