package task_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// text is a serde of strings. Decoding "bad" fails, encoding "unencodable" does.
type text struct{}

var (
	errBad         = errors.New("bad bytes")
	errUnencodable = errors.New("unencodable")
)

func (text) Append(dst []byte, v string) ([]byte, error) {
	if v == "unencodable" {
		return dst, errUnencodable
	}
	return append(dst, v...), nil
}

func (text) Decode(src []byte) (string, error) {
	if string(src) == "bad" {
		return "", errBad
	}
	return string(src), nil
}

type record = topology.Record[string, string]

// proc is a processor made of functions.
type proc struct {
	init    func(*topology.Context[string, string]) error
	process func(*topology.Context[string, string], record) error
	flush   func(*topology.Context[string, string]) error
	close   func() error
	ctx     *topology.Context[string, string]
}

func (p *proc) Init(ctx *topology.Context[string, string]) error {
	p.ctx = ctx
	if p.init != nil {
		return p.init(ctx)
	}
	return nil
}

func (p *proc) Process(r record) error {
	if p.process == nil {
		p.ctx.Forward(r)
		return nil
	}
	return p.process(p.ctx, r)
}

func (p *proc) Flush() error {
	if p.flush != nil {
		return p.flush(p.ctx)
	}
	return nil
}

func (p *proc) Close() error {
	if p.close != nil {
		return p.close()
	}
	return nil
}

// each makes a new copy of p for every task.
func each(p proc) func() *proc { return func() *proc { c := p; return &c } }

// recorder is an Output that keeps what is sent as text: "topic-partition key=value@time".
type recorder struct {
	partitions int32
	lines      []string
	fail       error
}

func (o *recorder) Partitions(string) int32 { return max(1, o.partitions) }

func (o *recorder) Send(topic string, partition int32, r *topology.Raw, _ *task.Origin) error {
	if o.fail != nil {
		return o.fail
	}
	o.lines = append(o.lines, fmt.Sprintf("%s-%d %s=%s@%d", topic, partition, show(r.Key), show(r.Value), r.Timestamp))
	return nil
}

// take returns the lines since the last call.
func (o *recorder) take() string {
	s := strings.Join(o.lines, "\n")
	o.lines = nil
	return s
}

func show(b []byte) string {
	if b == nil {
		return "null"
	}
	return string(b)
}

// batch is a batch over a slice.
type batch struct {
	records  []topology.Raw
	end      int64
	epoch    int32
	i        int
	err      error // after the records
	released *int
}

func (b *batch) Next(r *topology.Raw) (bool, error) {
	if b.i == len(b.records) {
		return false, b.err
	}
	*r = b.records[b.i]
	b.i++
	return true, nil
}

func (b *batch) End() int64         { return b.end }
func (b *batch) LeaderEpoch() int32 { return b.epoch }
func (b *batch) Bytes() int         { return 100 * len(b.records) }

func (b *batch) Release() {
	if b.released != nil {
		*b.released++
	}
}

// batchOf makes a batch from "offset:key=value@time" words; null stands for null. It ends after its last record.
func batchOf(words ...string) *batch {
	b := &batch{epoch: 7}
	for _, w := range words {
		offset, rest, _ := strings.Cut(w, ":")
		kv, at, _ := strings.Cut(rest, "@")
		k, v, _ := strings.Cut(kv, "=")
		r := topology.Raw{Key: parse(k), Value: parse(v)}
		r.Offset, _ = strconv.ParseInt(offset, 10, 64)
		r.Timestamp, _ = strconv.ParseInt(at, 10, 64)
		b.records = append(b.records, r)
		b.end = r.Offset + 1
	}
	return b
}

func parse(s string) []byte {
	if s == "null" {
		return nil
	}
	return []byte(s)
}

// layer is a store of texts whose every call is written down.
type layer struct {
	name  string
	log   state.Changelog
	dirty []string
	trace *[]string
}

func (l *layer) put(key string) { l.dirty = append(l.dirty, key) }

func (l *layer) note(format string, args ...any) {
	*l.trace = append(*l.trace, l.name+" "+fmt.Sprintf(format, args...))
}

func (l *layer) Flush() error {
	l.note("flush %v", l.dirty)
	for _, k := range l.dirty {
		if l.log != nil {
			if err := l.log.Append([]byte(k), []byte("1"), 5); err != nil {
				return err
			}
		}
	}
	l.dirty = nil
	return nil
}

func (l *layer) Commit(next int64) error {
	l.note("commit %d", next)
	return nil
}
func (l *layer) Drop()                        { l.note("drop") }
func (l *layer) Dirty() bool                  { return len(l.dirty) > 0 }
func (l *layer) Bytes() (dirty, cached int64) { return int64(len(l.dirty)), 3 }

func layerSpec(name string, trace *[]string) *state.Spec {
	return &state.Spec{Name: name, Logging: true, Open: func(e state.Env) (state.Layer, error) {
		return &layer{name: name, log: e.Changelog, trace: trace}, nil
	}}
}

// harness is one task under test.
type harness struct {
	*task.Task
	t   *testing.T
	out *recorder
	log bytes.Buffer
	now time.Time
}

// start builds the task of the only sub-topology of b.
func start(t *testing.T, b *topology.Builder, configure ...func(*task.Config)) *harness {
	t.Helper()
	h, err := tryStart(t, b, configure...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func tryStart(t *testing.T, b *topology.Builder, configure ...func(*task.Config)) (*harness, error) {
	t.Helper()
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, out: &recorder{}, now: time.UnixMilli(1000)}
	cfg := task.Config{
		Topology:      top,
		ApplicationID: "app",
		Output:        h.out,
		Committed:     func(*state.Spec) (*state.Partition, error) { return nil, nil },
		Now:           h.now,
		Logger: slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		})),
	}
	for _, c := range configure {
		c(&cfg)
	}
	h.Task, err = task.New(cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = h.Close() })
	return h, nil
}

// offer offers a batch of a topic's partition 0.
func (h *harness) offer(topic string, words ...string) {
	h.t.Helper()
	if err := h.Offer(task.Input{Topic: topic}, batchOf(words...)); err != nil {
		h.t.Fatal(err)
	}
}

// run steps until nothing can be processed, and returns what was sent.
func (h *harness) run() string {
	h.t.Helper()
	if _, _, err := h.Step(h.now, 1000); err != nil {
		h.t.Fatal(err)
	}
	return h.out.take()
}

func (h *harness) flush() {
	h.t.Helper()
	if err := h.Flush(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) expect(got, want string) {
	h.t.Helper()
	if got != want {
		h.t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func lines(s ...string) string { return strings.Join(s, "\n") }

// pipe is source in -> processor -> sink out.
func pipe(p proc, stores ...topology.AnyStore) *topology.Builder {
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source", "in", text{}, text{})
	topology.AddSink(b, "sink", "out", text{}, text{}, topology.AddProcessor(b, "node", each(p), src, stores...))
	return b
}

// merged is one processor under a source of a and one of b.
func merged() *topology.Builder {
	b := topology.NewBuilder()
	src := topology.AddSource(b, "source-a", "a", text{}, text{}).And(topology.AddSource(b, "source-b", "b", text{}, text{}))
	topology.AddSink(b, "sink", "out", text{}, text{}, topology.AddProcessor(b, "node", each(proc{}), src))
	return b
}
