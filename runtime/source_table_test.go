package runtime_test

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// joinedTable joins a stream with a table that is read from a topic which stands for its changelog.
func joinedTable(t *testing.T, users, clicks, out string) *topology.Topology {
	t.Helper()
	b := stream.NewBuilder(stream.Optimized())
	table := stream.Table(b, users, serde.String, serde.String, stream.StoreNamed("users"))
	joined := stream.LeftJoinTable(stream.From(b, clicks, serde.String, serde.String), table, func(click string, user serde.Maybe[string]) string {
		return click + " by " + user.Or("nobody")
	})
	joined.To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// a table whose topic is its changelog has no other. Started on an empty disk, it is read from the topic, up to what was committed;
// started on its own, it goes on from there (D-119).
func TestTableIsRestoredFromItsTopic(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	users, clicks, out, id := unique(t, "users"), unique(t, "clicks"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 2, users, clicks)
	l.createTopics(t, 1, out)
	top := joinedTable(t, users, clicks, out)
	var want []string
	run := func(dir string, user []record, click record, result string) {
		t.Helper()
		l.write(t, users, user)
		app := l.start(t, top, runtime.Config{ApplicationID: id, StateDir: dir, Workers: 1, TransactionTimeout: takeOver()})
		eventually(t, 30*time.Second, "the users are processed", func() bool { return l.drained(t, id, users) })
		l.write(t, clicks, []record{click})
		eventually(t, 30*time.Second, "the click is processed", func() bool { return l.drained(t, id, clicks) })
		if err := app.stop(); err != nil {
			t.Fatal(err)
		}
		want = append(want, click.key+"="+result)
	}
	disk := t.TempDir()
	run(disk, []record{{key: "a", value: "Ada"}, {key: "b", value: "Bob"}, {key: "a", value: "Ann"}}, record{key: "a", value: "1"}, "1 by Ann")
	run(t.TempDir(), nil, record{key: "b", value: "2"}, "2 by Bob")
	run(t.TempDir(), []record{{key: "b", value: "Ben"}}, record{key: "a", value: "3"}, "3 by Ann")
	run(disk, nil, record{key: "b", value: "4"}, "4 by Ben")
	run(disk, []record{{key: "c", value: "Cay"}}, record{key: "c", value: "5"}, "5 by Cay")
	var got []string
	for _, r := range l.read(t, out) {
		got = append(got, r.key+"="+r.value)
	}
	if !slices.Equal(got, want) {
		t.Errorf("results %q, want %q", got, want)
	}
	if n := len(l.partitions(t, topology.ChangelogTopic(id, "users"))); n != 0 {
		t.Errorf("there is a changelog of %d partitions", n)
	}
}
