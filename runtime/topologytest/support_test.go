package topologytest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// counter counts records by key, and emits each count at the flush: an aggregation by hand.
type counter struct {
	store topology.Store[*state.KeyValue[string, int64]]
	kv    *state.KeyValue[string, int64]
	ctx   *topology.Context[string, int64]
}

func (c *counter) Init(ctx *topology.Context[string, int64]) (err error) {
	c.ctx = ctx
	c.kv, err = c.store.In(ctx)
	return err
}

func (c *counter) Process(r topology.Record[string, string]) error {
	if !r.HasKey() {
		c.ctx.Drop(topology.ReasonNullKey, nil)
		return nil
	}
	e, err := c.kv.At(r.Key)
	if err != nil {
		return err
	}
	n, _ := e.Value()
	return e.Set(n+1, max(r.Timestamp, e.Timestamp()), r.Headers)
}

func (c *counter) Flush() error {
	return c.kv.Changes(func(key string, ch state.Change[int64], at int64, h serde.Headers) error {
		n, _ := ch.New.Get()
		r := topology.NewRecord(key, n, at)
		r.Headers = h
		c.ctx.Forward(r)
		return nil
	})
}

func (c *counter) Close() error { return nil }

// windowCounter counts records by key and window of 10 ms, with 20 ms of grace, and emits "key@start".
type windowCounter struct {
	store topology.Store[*state.Window[string, int64]]
	win   *state.Window[string, int64]
	ctx   *topology.Context[string, int64]
	seen  int64 // the operator's own event time
}

const windowSize, windowGrace = 10, 20

func (c *windowCounter) Init(ctx *topology.Context[string, int64]) (err error) {
	c.ctx, c.seen = ctx, -1
	c.win, err = c.store.In(ctx)
	return err
}

func (c *windowCounter) Process(r topology.Record[string, string]) error {
	c.seen = max(c.seen, r.Timestamp)
	start := r.Timestamp - r.Timestamp%windowSize
	if start+windowSize+windowGrace <= c.seen {
		c.ctx.Drop(topology.ReasonLate, fmt.Errorf("window %d is closed at %d", start, c.seen))
		return nil
	}
	e, err := c.win.At(r.Key, start)
	if err != nil {
		return err
	}
	n, _ := e.Value()
	return e.Set(n+1, max(r.Timestamp, e.Timestamp()), r.Headers)
}

func (c *windowCounter) Flush() error {
	return c.win.Changes(func(key string, start int64, ch state.Change[int64], at int64, _ serde.Headers) error {
		n, _ := ch.New.Get()
		c.ctx.Forward(topology.NewRecord(fmt.Sprintf("%s@%d", key, start), n, at))
		return nil
	})
}

func (c *windowCounter) Close() error { return nil }

// splitter sends each word of a value on, keyed by the word. "panic" panics, "fail" fails.
type splitter struct {
	ctx *topology.Context[string, string]
}

var errFail = errors.New("fail")

func (s *splitter) Init(ctx *topology.Context[string, string]) error { s.ctx = ctx; return nil }
func (s *splitter) Close() error                                     { return nil }

func (s *splitter) Process(r topology.Record[string, string]) error {
	for word := range strings.FieldsSeq(r.Value) {
		switch word {
		case "panic":
			panic(word)
		case "fail":
			return errFail
		case "nobody":
			s.ctx.Forward(topology.WithValue(r, word).WithoutKey())
			continue
		}
		s.ctx.Forward(topology.WithKey(topology.WithValue(r, word), word))
	}
	return nil
}

// wordCount is lines -> split -> repartition by word -> count -> counts.
func wordCount(tb testing.TB) *topology.Topology {
	tb.Helper()
	b := topology.NewBuilder()
	lines := topology.AddSource(b, "lines", "lines", serde.String, serde.String)
	words := topology.AddProcessor(b, "split", func() *splitter { return &splitter{} }, lines)
	byWord := topology.Repartition(b, "counts", 0, serde.String, serde.String, words)
	store := topology.AddStore[*state.KeyValue[string, int64]](b, state.KeyValueSpec("counts", serde.String, serde.Int64))
	counts := topology.AddProcessor(b, "count", func() *counter { return &counter{store: store} }, byWord, store)
	topology.AddSink(b, "out", "counts", serde.String, serde.Int64, counts)
	return build(tb, b)
}

func windowCount(tb testing.TB) *topology.Topology {
	tb.Helper()
	b := topology.NewBuilder()
	in := topology.AddSource(b, "source", "in", serde.String, serde.String)
	spec := state.WindowSpec("windows", serde.String, serde.Int64, windowSize*time.Millisecond, (windowSize+windowGrace)*time.Millisecond)
	store := topology.AddStore[*state.Window[string, int64]](b, spec)
	counts := topology.AddProcessor(b, "count", func() *windowCounter { return &windowCounter{store: store} }, in, store)
	topology.AddSink(b, "out", "out", serde.String, serde.Int64, counts)
	return build(tb, b)
}

func build(tb testing.TB, b *topology.Builder) *topology.Topology {
	tb.Helper()
	top, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return top
}

// rows renders records as "key=value@time", in order.
func rows[K, V any](records []topology.Record[K, V]) string {
	var out []string
	for _, r := range records {
		key, value := "null", "null"
		if r.HasKey() {
			key = fmt.Sprint(r.Key)
		}
		if r.HasValue() {
			value = fmt.Sprint(r.Value)
		}
		out = append(out, fmt.Sprintf("%s=%s@%d", key, value, r.Timestamp))
	}
	return strings.Join(out, " ")
}
