package task_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// marking is a store that notes, for each key, which input record made its change, and hands the changes over in their order.
type marking struct {
	layer
	from  state.Origins
	keys  []string
	marks []uint32
}

func (m *marking) put(key string) {
	m.keys, m.marks = append(m.keys, key), append(m.marks, m.from.Mark())
}

func (m *marking) drain(f func(key string)) {
	for i, key := range m.keys {
		m.from.Resume(m.marks[i])
		f(key)
	}
	m.from.Resume(0)
	m.keys, m.marks = nil, nil
}

// withheld is source -> node, which puts keys into a store, also in a punctuation, and emits them at the flush -> sink.
func withheld() *topology.Builder {
	b := topology.NewBuilder()
	store := topology.AddStore[*marking](b, &state.Spec{Name: "store", Open: func(e state.Env) (state.Layer, error) {
		return &marking{layer: layer{trace: new([]string)}, from: e.Origins}, nil
	}})
	src := topology.AddSource(b, "source", "in", text{}, text{})
	in := func(ctx *topology.Context[string, string], f func(*marking)) error {
		m, err := store.In(ctx)
		if err == nil {
			f(m)
		}
		return err
	}
	node := topology.AddProcessor(b, "node", each(proc{
		init: func(ctx *topology.Context[string, string]) error {
			ctx.Schedule(time.Second, topology.PunctuateWallClock, func(int64) error { return in(ctx, func(m *marking) { m.put("tick") }) })
			return nil
		},
		process: func(ctx *topology.Context[string, string], r record) error {
			return in(ctx, func(m *marking) {
				m.put(r.Key)
				m.put(r.Key + "again")
			})
		},
		flush: func(ctx *topology.Context[string, string]) error {
			return in(ctx, func(m *marking) {
				m.drain(func(key string) { ctx.Forward(topology.NewRecord(key, "unencodable", 0)) })
			})
		},
	}), src, store)
	topology.AddSink(b, "sink", "out", text{}, text{}, node)
	return b
}

// what fails with a change that waited for the flush fails with the record that made it, as it was read; with none if a punctuation
// made it, whatever was handed over before.
func TestFailureOfAWithheldChange(t *testing.T) {
	t.Parallel()
	var asked []string
	h := start(t, withheld(), func(c *task.Config) {
		c.Production = func(f task.Failure) task.Response {
			record := "none"
			if f.Raw != nil {
				record = fmt.Sprintf("%s=%s@%d %v", f.Raw.Key, f.Raw.Value, f.Raw.Timestamp, f.Raw.Headers)
			}
			asked = append(asked, fmt.Sprintf("%s-%d:%d at %d: %s", f.Source.Topic, f.Source.Partition, f.Source.Offset, f.Timestamp, record))
			return task.Continue
		}
	})
	for round := range 2 { // the second has forgotten the first
		b := batchOf(fmt.Sprintf("%d:a=x@%d", 2*round, 50+round), fmt.Sprintf("%d:b=y@%d", 2*round+1, 20+round))
		b.records[0].Headers = []topology.Header{{Key: "h", Value: []byte("1")}}
		if err := h.Offer(task.Input{Topic: "in"}, b); err != nil {
			t.Fatal(err)
		}
		h.run()
		for i := range b.records { // the batch's memory is used again
			copy(b.records[i].Value, "?")
			clear(b.records[i].Headers)
		}
		h.now = h.now.Add(time.Second)
		if fired, err := h.Punctuate(h.now); !fired || err != nil {
			t.Fatalf("Punctuate = %v, %v", fired, err)
		}
		if dirty, _ := h.Bytes(); dirty != 2*(1+1+128)+2 {
			t.Errorf("%d bytes are held for two records", dirty)
		}
		h.flush()
		first := fmt.Sprintf("in-0:%d at %d: a=x@%d [{h [49]}]", 2*round, 50+round, 50+round)
		second := fmt.Sprintf("in-0:%d at %d: b=y@%d []", 2*round+1, 20+round, 20+round)
		h.expect(lines(asked...), lines(first, first, second, second, fmt.Sprintf("--1:-1 at %d: none", 50+round)))
		asked = nil
		if err := h.Committed(nil); err != nil {
			t.Fatal(err)
		}
	}
	if dirty, _ := h.Bytes(); dirty != 0 {
		t.Errorf("%d bytes are held after the commit", dirty)
	}
}

// A task that holds much of its input back asks for a commit, once.
func TestWithheldRecordsAreBounded(t *testing.T) {
	t.Parallel()
	h := start(t, withheld(), func(c *task.Config) { c.Production = func(task.Failure) task.Response { return task.Continue } })
	for i, want := range []bool{false, true, false} {
		h.offer("in", fmt.Sprintf("%d:k=%s@1", i, make([]byte, 9<<20)))
		if h.run(); h.CommitRequested() != want {
			t.Errorf("record %d: a commit is asked for: %v", i, h.CommitRequested())
		}
		if want {
			h.flush()
			if err := h.Committed(nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}
