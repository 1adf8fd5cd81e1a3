package runtime_test

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// whois answers by the name that it finds in a read-only store.
type whois struct {
	names topology.ReadOnlyStore[string, string]
	rows  state.ReadOnly[string, string]
	ctx   *topology.Context[string, string]
}

func (w *whois) Init(ctx *topology.Context[string, string]) (err error) {
	w.ctx = ctx
	w.rows, err = w.names.In(ctx)
	return err
}

func (w *whois) Process(r topology.Record[string, string]) error {
	name, _, ok, err := w.rows.Get(r.Key)
	if !ok {
		name = "nobody"
	}
	w.ctx.Forward(topology.NewRecord(r.Key, r.Value+" "+name, r.Timestamp))
	return err
}

func (w *whois) Close() error { return nil }

// TestReadOnlyStoreIsRestoredFromItsTopic: on an empty disk a read-only store has what the topic holds, and there is no changelog (D-05, KIP-813).
func TestReadOnlyStoreIsRestoredFromItsTopic(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	people, questions, out, id := unique(t, "people"), unique(t, "questions"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 2, people, questions)
	l.createTopics(t, 1, out)
	b := topology.NewBuilder()
	names := topology.AddReadOnlyStore(b, "names", people, serde.String, serde.String)
	asked := topology.AddSource(b, "questions", questions, serde.String, serde.String)
	answers := topology.AddProcessor(b, "whois", func() *whois { return &whois{names: names} }, asked, names)
	topology.AddSink(b, "answers", out, serde.String, serde.String, answers)
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	run := func(dir string, person []record, question record, answer string) {
		t.Helper()
		l.write(t, people, person)
		app := l.start(t, top, runtime.Config{ApplicationID: id, StateDir: dir, Workers: 1, TransactionTimeout: takeOver()})
		eventually(t, 30*time.Second, "the people are processed", func() bool { return l.drained(t, id, people) })
		l.write(t, questions, []record{question})
		eventually(t, 30*time.Second, "the question is processed", func() bool { return l.drained(t, id, questions) })
		if err := app.stop(); err != nil {
			t.Fatal(err)
		}
		want = append(want, answer)
	}
	disk := t.TempDir()
	run(disk, []record{{key: "a", value: "Ada"}, {key: "b", value: "Bob"}, {key: "a", value: "Ann"}}, record{key: "a", value: "1"}, "1 Ann")
	run(t.TempDir(), nil, record{key: "b", value: "2"}, "2 Bob")
	run(t.TempDir(), []record{{key: "b", value: "Ben"}}, record{key: "c", value: "3"}, "3 nobody")
	run(disk, nil, record{key: "b", value: "4"}, "4 Ben")
	var got []string
	for _, r := range l.read(t, out) {
		got = append(got, r.value)
	}
	if !slices.Equal(got, want) {
		t.Errorf("answers %q, want %q", got, want)
	}
	if n := len(l.partitions(t, topology.ChangelogTopic(id, "names"))); n != 0 {
		t.Errorf("there is a changelog of %d partitions", n)
	}
}
