package runtime_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// signer puts each value into its store with a header that names the value, and passes on what the store had before, headers included.
type signer struct {
	store topology.Store[*state.KeyValue[string, string]]
	rows  *state.KeyValue[string, string]
	ctx   *topology.Context[string, string]
}

func (s *signer) Init(ctx *topology.Context[string, string]) (err error) {
	s.ctx = ctx
	s.rows, err = s.store.In(ctx)
	return err
}

func (s *signer) Process(r topology.Record[string, string]) error {
	row, _, err := s.rows.Row(r.Key)
	if err != nil {
		return err
	}
	s.ctx.Forward(topology.NewRecord(r.Key, fmt.Sprint(row.Value, row.Headers.All()), r.Timestamp))
	return s.rows.Put(r.Key, r.Value, r.Timestamp, serde.Headers{}.With("signed", []byte(r.Value)))
}

func (s *signer) Close() error { return nil }

// TestStoreKeepsHeaders: headers survive a restart, with the state directory and without; a store that is given the option later is rebuilt from the
// changelog that it wrote without it (S-20).
func TestStoreKeepsHeaders(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	cfg := runtime.Config{ApplicationID: app, StateDir: t.TempDir(), Workers: 1}
	run := func(value string, opts ...state.SpecOption) {
		t.Helper()
		b := topology.NewBuilder()
		store := topology.AddStore[*state.KeyValue[string, string]](b, state.KeyValueSpec("signed", serde.String, serde.String, opts...))
		source := topology.AddSource(b, "source", in, serde.String, serde.String)
		was := topology.AddProcessor(b, "sign", func() *signer { return &signer{store: store} }, source, store)
		topology.AddSink(b, "sink", out, serde.String, serde.String, was)
		top, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		r := l.start(t, top, cfg)
		l.write(t, in, []record{{key: "k", value: value}})
		eventually(t, time.Minute, "the value is taken", func() bool { return l.drained(t, app, in) })
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	run("a")
	run("b", state.KeepHeaders())
	run("c", state.KeepHeaders())
	if err := os.RemoveAll(cfg.StateDir); err != nil {
		t.Fatal(err)
	}
	run("d", state.KeepHeaders())
	run("e")
	var got []string
	for _, r := range l.read(t, out) {
		got = append(got, r.value)
	}
	if want := []string{"[]", "a[]", "b[{signed [98]}]", "c[{signed [99]}]", "d[]"}; !slices.Equal(got, want) {
		t.Errorf("the store had %q, want %q", got, want)
	}
}
