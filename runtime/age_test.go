package runtime_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// An instance that was away while a key was deleted, and for so long that the delete has been compacted away as well, does not have the key when it
// is back.
func TestDeleteThatIsGone(t *testing.T) {
	t.Parallel()
	broker := brokertest.Start(t, brokertest.Config(func(c *broker.Config) { c.CompactionInterval = 10 * time.Millisecond }))
	l := connectLog(t, broker.Brokers(), broker.Dial)
	users, clicks, out, id := unique(t, "users"), unique(t, "clicks"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 1, users, clicks, out)
	b := stream.NewBuilder()
	kept := stream.Table(b, users, serde.String, serde.String).Filter(func(_, user string) bool { return user != "gone" },
		stream.Materialized("kept", serde.String).With(state.WithTopic(map[string]string{
			"segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0", "delete.retention.ms": "1000",
		})))
	stream.LeftJoinTable(stream.From(b, clicks, serde.String, serde.String), kept, func(click string, user serde.Maybe[string]) string {
		return click + " by " + user.Or("nobody")
	}).To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	changelog := topology.ChangelogTopic(id, "kept")
	run := func(dir, click string, then func()) {
		t.Helper()
		app := l.start(t, top, runtime.Config{ApplicationID: id, StateDir: dir, Workers: 1, TransactionTimeout: takeOver()})
		then()
		eventually(t, 30*time.Second, "the users are processed", func() bool { return l.drained(t, id, users) })
		l.write(t, clicks, []record{{key: "a", value: click}})
		eventually(t, 30*time.Second, "the click is processed", func() bool { return l.drained(t, id, clicks) })
		if err := app.stop(); err != nil {
			t.Fatal(err)
		}
	}
	disk := t.TempDir()
	run(disk, "1", func() { l.write(t, users, []record{{key: "a", value: "Ada"}}) })
	run(t.TempDir(), "2", func() {
		l.write(t, users, []record{{key: "a", value: "gone"}})
		eventually(t, 60*time.Second, "the delete is compacted away", func() bool {
			for i := range 4 {
				l.write(t, users, []record{{key: fmt.Sprint("another ", i), value: strings.Repeat("x", 600<<10)}})
			}
			eventually(t, 30*time.Second, "they are in the changelog", func() bool { return l.drained(t, id, users) })
			return !slices.ContainsFunc(l.read(t, changelog), func(r record) bool { return r.key == "a" })
		})
	})
	run(disk, "3", func() {})
	var got []string
	for _, r := range l.read(t, out) {
		got = append(got, r.value)
	}
	if want := []string{"1 by Ada", "2 by nobody", "3 by nobody"}; !slices.Equal(got, want) {
		t.Errorf("results %q, want %q", got, want)
	}
}
