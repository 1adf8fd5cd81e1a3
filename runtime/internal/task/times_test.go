package task_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// timed is a node that keeps two event times under the name of a store.
func timed(t *testing.T, b *topology.Builder) {
	var at, closed *int64
	src := topology.AddSource(b, "source-a", "a", text{}, text{}).And(topology.AddSource(b, "source-b", "b", text{}, text{}))
	out := topology.AddProcessor(b, "node", each(proc{process: func(ctx *topology.Context[string, string], r record) error {
		*at = max(*at, r.Timestamp)
		if r.Value == "close" {
			*closed = r.Timestamp - 10
		}
		ctx.Forward(r)
		return nil
	}}), src)
	topology.AddSink(b, "sink", "out", text{}, text{}, out)
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	node := top.Nodes[slices.IndexFunc(top.Nodes, func(n *topology.Node) bool { return n.Name == "node" })]
	build := node.Build
	node.Build = func(s topology.Scope, down any) (topology.Instance, error) {
		at, closed = s.OperatorTime("counts"), s.LastClose("counts")
		return build(s, down)
	}
}

// D9, D-88: the operators' times go with the offsets, once, and come back with the task; an abort sets them back.
func TestOperatorTimesAreCommitted(t *testing.T) {
	t.Parallel()
	newBuilder := func() *topology.Builder {
		b := topology.NewBuilder()
		timed(t, b)
		return b
	}
	a, c := task.Input{Topic: "a"}, task.Input{Topic: "b"}
	var start0 []task.Progress
	starting := func(cfg *task.Config) { cfg.Start = start0 }
	never := func(cfg *task.Config) { cfg.MaxIdle = -1 }
	h := start(t, newBuilder(), never)
	h.offer("a", "0:k=v@50", "1:k=close@40", "2:k=v@45")
	h.offer("b", "0:k=v@30")
	h.run()
	h.flush()
	want := map[string]int64{"counts/time": 50, "counts": 30}
	got := h.Progress()
	if len(got) != 2 || !maps.Equal(got[0].Times, want) || got[1].Times != nil {
		t.Fatalf("Progress = %+v", got)
	}
	start0 = got
	for range 2 { // the second time after an abort
		h = start(t, newBuilder(), starting, never)
		if got := h.Progress(); !reflect.DeepEqual(got, start0) {
			t.Fatalf("as started: %+v, want %+v", got, start0)
		}
		h.offer("b", "1:k=close@60")
		h.run()
		h.flush()
		want := map[string]int64{"counts/time": 60, "counts": 50}
		if got := h.Progress(); got[0].Input != a || got[1].Input != c || !maps.Equal(got[0].Times, want) {
			t.Fatalf("Progress = %+v", got)
		}
	}
	// Kafka Streams has them at every input; the latest counts.
	start0[0].Times, start0[1].Times = map[string]int64{"counts": 7, "counts/time": 8}, map[string]int64{"counts": 9, "unknown": 99}
	if got := start(t, newBuilder(), starting).Progress(); !maps.Equal(got[0].Times, map[string]int64{"counts": 9, "counts/time": 8}) {
		t.Errorf("merged: %+v", got)
	}
}

// The first record that a transaction appends to a changelog says where the inputs stood when it began.
func TestChangelogsSayWhereInputsStood(t *testing.T) {
	t.Parallel()
	var trace []string
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source-a", "a", text{}, text{}).And(topology.AddSource(b, "source-b", "b", text{}, text{}))
	stores := []topology.Store[*layer]{
		topology.AddStore[*layer](b, layerSpec("x", &trace)), topology.AddStore[*layer](b, layerSpec("y", &trace)),
	}
	topology.AddProcessor(b, "node", each(proc{process: func(ctx *topology.Context[string, string], r record) error {
		for i, s := range stores {
			l, err := s.In(ctx)
			if err != nil {
				return err
			}
			if i == 0 || r.Value == "both" {
				l.put(r.Key)
			}
		}
		return nil
	}}), src, stores[0], stores[1])
	out := &headed{}
	h := start(t, b, func(cfg *task.Config) {
		cfg.Output, cfg.MaxIdle = out, -1
		cfg.Start = []task.Progress{{Input: task.Input{Topic: "a"}, Next: 5, PartitionTime: -1}, {Input: task.Input{Topic: "b"}, Next: 1 << 40, PartitionTime: 77}}
	})
	commit := func() []string {
		t.Helper()
		if _, _, err := h.Step(h.now, 100); err != nil {
			t.Fatal(err)
		}
		h.flush()
		if err := h.Committed(map[string]int64{}); err != nil {
			t.Fatal(err)
		}
		return out.take()
	}
	at := func(a, timeA, b, timeB int64) []task.InputPosition {
		return []task.InputPosition{{Topic: task.TopicHash("a"), Next: a, PartitionTime: timeA}, {Topic: task.TopicHash("b"), Next: b, PartitionTime: timeB}}
	}
	expect := func(got []string, records []string, want ...[]task.InputPosition) {
		t.Helper()
		if !slices.Equal(got, records) || !reflect.DeepEqual(out.positions, want) {
			t.Errorf("%v with %v, want %v with %v", got, out.positions, records, want)
		}
		out.positions = nil
	}
	h.offer("a", "5:k1=one@50", "6:k2=one@60")
	expect(commit(), []string{"app-x-changelog", "app-x-changelog"}, at(5, -1, 1<<40, 77), nil)
	h.offer("a", "7:k3=one@90")
	h.offer("b", "1099511627776:k3=both@70")
	expect(commit(), []string{"app-x-changelog", "app-x-changelog", "app-y-changelog"}, at(7, 60, 1<<40, 77), nil, at(7, 60, 1<<40, 77))
	expect(commit(), nil)
	h.offer("a", "8:k3=both@80")
	expect(commit(), []string{"app-x-changelog", "app-y-changelog"}, at(8, 90, 1<<40+1, 77), at(8, 90, 1<<40+1, 77))
}

// headed is an Output that keeps topics and positions.
type headed struct {
	topics    []string
	positions [][]task.InputPosition
}

func (o *headed) Partitions(string) int32 { return 1 }

func (o *headed) Send(topic string, _ int32, r *topology.Raw, _ *task.Origin) error {
	o.topics = append(o.topics, topic)
	var at []task.InputPosition
	for _, h := range r.Headers {
		if h.Key == task.PositionHeader {
			var err error
			if at, err = task.ParsePosition(h.Value); err != nil {
				return err
			}
		}
	}
	o.positions = append(o.positions, at)
	return nil
}

func (o *headed) take() []string {
	topics := o.topics
	o.topics = nil
	return topics
}

func FuzzParsePosition(f *testing.F) {
	f.Add([]byte("\x01\x01\xaf\x63\xdc\x4c\x86\x01\xec\x8c\x05\x00"))
	f.Add([]byte("\x01\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		inputs, err := task.ParsePosition(b)
		for _, in := range inputs {
			if err != nil || in.Next < 0 || in.PartitionTime < -1 {
				t.Errorf("ParsePosition(%x) = %v, %v", b, inputs, err)
			}
		}
	})
}
