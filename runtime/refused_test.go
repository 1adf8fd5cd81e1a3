package runtime_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// unkeyed is a topology that copies its input, without the key if the value begins with "bad": a compacted topic takes no such record.
func unkeyed(t testing.TB, in, out string) *topology.Topology {
	t.Helper()
	b := stream.NewBuilder()
	key := serde.Nullable(serde.String)
	stream.SelectKey(stream.From(b, in, key, serde.String), func(k *string, v string) *string {
		if strings.HasPrefix(v, "bad") {
			return nil
		}
		return k
	}).To(out, key, serde.String, stream.Named("out"))
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// refusable makes n records for each partition, every fifth of which is bad.
func refusable(n int) (records, good, bad []record) {
	for p := range int32(partitions) {
		for i := range n {
			r := record{partition: p, key: fmt.Sprintf("k%d-%d", p, i), value: fmt.Sprintf("v%d", i), timestamp: eventBase + int64(i)}
			if i%5 == 2 {
				r.value = fmt.Sprintf("bad%d", i)
				bad = append(bad, r)
			} else {
				good = append(good, r)
			}
			records = append(records, r)
		}
	}
	return records, good, bad
}

func (l *testLog) createCompacted(t testing.TB, name string) {
	t.Helper()
	topic := client.NewTopic{Name: name, Partitions: partitions, Configs: map[string]string{
		"cleanup.policy": "compact", "message.timestamp.after.max.ms": "9223372036854775807",
	}}
	if err := l.client.CreateTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
}

// records that the broker refuses are left out with the handler's leave, each in the dead-letter topic once, as it was read; all the
// others are in the output once.
func TestRefusedRecords(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []runtime.Guarantee{runtime.ExactlyOnce, runtime.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			l := openLog(t, false)
			app, in, out, dlq := unique(t, "app"), unique(t, "in"), unique(t, "out"), unique(t, "dlq")
			l.createTopics(t, partitions, in, dlq)
			l.createCompacted(t, out)
			records, good, bad := refusable(100)
			l.write(t, in, records)
			r := l.start(t, unkeyed(t, in, out), runtime.Config{
				ApplicationID: app, StateDir: t.TempDir(), Workers: 2, Guarantee: guarantee, DeadLetterTopic: dlq, Production: runtime.LogAndContinue,
			})
			eventually(t, 30*time.Second, "history is processed", func() bool { return l.drained(t, app, in) })
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			sameRecords(t, "output", l.read(t, out), good)
			sameRecords(t, "dead letters", l.read(t, dlq), bad)
			s := r.Stats()
			if len(s.Dropped) != 1 || s.Dropped[0].Node != "out" || s.Dropped[0].Reason != topology.ReasonProduction || s.Dropped[0].Count != int64(len(bad)) {
				t.Errorf("dropped %v", s.Dropped)
			}
			if s.Aborts != 0 {
				t.Errorf("%d transactions were lost", s.Aborts)
			}
		})
	}
}

// Without a handler the failure names the record that was read, the topic that was written, and why; nothing of the transaction is seen.
func TestRefusedRecordStopsTheInstance(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out := unique(t, "in"), unique(t, "out")
	l.createTopics(t, partitions, in)
	l.createCompacted(t, out)
	l.write(t, in, []record{{key: "a", value: "v"}, {key: "b", value: "bad"}, {key: "c", value: "v"}})
	err := l.start(t, unkeyed(t, in, out), runtime.Config{ApplicationID: unique(t, "app")}).failure(t, 30*time.Second)
	e, ok := errors.AsType[*runtime.TaskError](err)
	if !ok || e.Node != "out" || e.Source.Topic != in || e.Source.Offset != 1 || !errors.Is(err, kerr.InvalidRecord) {
		t.Fatalf("Run = %v", err)
	}
	if w, ok := errors.AsType[*runtime.WriteError](err); !ok || w.Topic != out || w.Retriable {
		t.Errorf("Run = %v", err)
	}
}

// mute is a network over which no batch can be sent while it is on.
type mute struct{ atomic.Bool }

var errMute = errors.New("the line is cut")

// over is the network as connections over it see it.
func (m *mute) over(c net.Conn) net.Conn { return &mutedConn{c, m} }

type mutedConn struct {
	net.Conn
	mute *mute
}

// Write is called for a request at a time: its length, its key, and so on. The key of Produce is 0.
func (c *mutedConn) Write(b []byte) (int, error) {
	if len(b) >= 6 && binary.BigEndian.Uint16(b[4:]) == 0 && c.mute.Load() {
		return 0, errors.Join(errMute, c.Close())
	}
	return c.Conn.Write(b)
}

// outage starts a program that cannot write, and returns when its handler has been asked.
func outage(t *testing.T, guarantee runtime.Guarantee, answer runtime.Response) (l *testLog, m *mute, r *running, app, in, out string, asked *atomic.Int64) {
	t.Helper()
	l = openLog(t, false)
	app, in, out = unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	m = &mute{}
	asked = new(atomic.Int64)
	cfg := runtime.Config{ApplicationID: app, StateDir: t.TempDir(), Workers: 1, Guarantee: guarantee, TransactionTimeout: 3 * time.Second}
	cfg.Production = func(f runtime.Failure) runtime.Response {
		if w, ok := errors.AsType[*runtime.WriteError](f.Err); !ok || !f.Retriable || w.Topic != out || f.Node != "out" || f.Source.Topic != in {
			t.Errorf("asked about %+v", f)
		}
		if f.Raw == nil || string(f.Raw.Value[:1]) != "v" {
			t.Errorf("the input is %+v", f.Raw)
		}
		asked.Add(1)
		return answer
	}
	r = l.through(m.over).start(t, unkeyed(t, in, out), cfg)
	eventually(t, 30*time.Second, "it runs", func() bool { return r.State() == runtime.Running })
	m.Store(true)
	l.write(t, in, numbered("v", 10))
	eventually(t, 30*time.Second, "the handler is asked", func() bool { return asked.Load() > 0 })
	return l, m, r, app, in, out, asked
}

func numbered(prefix string, n int) []record {
	records := make([]record, n)
	for i := range records {
		records[i] = record{key: fmt.Sprint("k", i), value: fmt.Sprint(prefix, i), timestamp: eventBase}
	}
	return records
}

// An outage of the log reaches the production handler as one that may pass; Retry tries on, and then everything is there once.
func TestOutageIsTriedAgain(t *testing.T) {
	t.Parallel()
	l, m, r, app, in, out, asked := outage(t, runtime.ExactlyOnce, runtime.Retry)
	before := asked.Load()
	eventually(t, 30*time.Second, "it is tried again", func() bool { return asked.Load() > before })
	m.Store(false)
	eventually(t, 30*time.Second, "it passes", func() bool { return l.drained(t, app, in) })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	sameRecords(t, "output", l.read(t, out), l.read(t, in))
	if s := r.Stats(); len(s.Dropped) != 0 || s.Aborts == 0 {
		t.Errorf("stats %+v", s)
	}
}

// With Continue the program does without what it cannot write, though an answer may have been lost, and writes again when it can.
func TestOutageIsPassedOver(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []runtime.Guarantee{runtime.ExactlyOnce, runtime.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			l, m, r, app, in, out, _ := outage(t, guarantee, runtime.Continue)
			eventually(t, 30*time.Second, "it goes on without", func() bool { return l.drained(t, app, in) })
			m.Store(false)
			later := numbered("v later", 10)
			l.write(t, in, later)
			eventually(t, 30*time.Second, "it goes on", func() bool { return l.drained(t, app, in) })
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			sameRecords(t, "output", l.read(t, out), later)
			if s := r.Stats(); len(s.Dropped) != 1 || s.Dropped[0].Count != 10 {
				t.Errorf("dropped %+v", s.Dropped)
			}
		})
	}
}
