package runtime_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// sink is a writer that several goroutines use.
type sink struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// D10: the leader writes down what the topology is, once for each form, and says whose state a new one leaves behind.
func TestTopologyIsWrittenDown(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, id := unique(t, "in"), unique(t, "app")
	l.createTopics(t, 2, in)
	var log sink
	run := func(store string) {
		t.Helper()
		b := stream.NewBuilder()
		stream.GroupByKey(stream.From(b, in, serde.String, serde.String), stream.GroupedWith(serde.String, serde.String)).
			Count(stream.Materialized(store, serde.Int64))
		top, err := b.Topology()
		if err != nil {
			t.Fatal(err)
		}
		app := l.start(t, top, runtime.Config{ApplicationID: id, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		eventually(t, 30*time.Second, "it runs", func() bool { return app.State() == runtime.Running })
		if err := app.stop(); err != nil {
			t.Fatal(err)
		}
	}
	run("counts")
	run("counts")
	written := l.read(t, id+"-millrace-topology-changelog")
	if len(written) != 1 || written[0].key != "topology" || !json.Valid([]byte(written[0].value)) || !strings.Contains(written[0].value, `"tasks": 2`) {
		t.Fatalf("written down: %+v", written)
	}
	if strings.Contains(log.String(), "store=counts") {
		t.Error("a topology that stays the same is said to leave state behind")
	}
	run("renamed")
	if written := l.read(t, id+"-millrace-topology-changelog"); len(written) != 2 {
		t.Errorf("%d forms, want 2", len(written))
	}
	if !strings.Contains(log.String(), "store=counts") || !strings.Contains(log.String(), id+"-counts-changelog") {
		t.Errorf("the log does not say that the state of counts is left behind:\n%s", log.String())
	}
}

// dyingConn is a connection of a process that dies with its first Produce request.
type dyingConn struct {
	net.Conn
	of *death
}

// death is that of a process: before its first Produce request has left, or when it has, and the answer finds nobody.
type death struct {
	sent bool
	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (d *death) over(c net.Conn) net.Conn { return dyingConn{c, d} }

// Write is called for a request at a time: its length, its key, and so on. The key of Produce is 0.
func (c dyingConn) Write(b []byte) (int, error) {
	if c.of.dead.Load() {
		return 0, errors.Join(errDead, c.Close())
	}
	if len(b) < 6 || binary.BigEndian.Uint16(b[4:]) != 0 {
		return c.Conn.Write(b)
	}
	defer c.of.dead.Store(true)
	if !c.of.sent {
		return 0, errors.Join(errDead, c.Close())
	}
	return c.Conn.Write(b)
}

// Read implements net.Conn.
func (c dyingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.of.dead.Load() {
		return 0, errors.Join(errDead, c.Close())
	}
	return n, err
}

// The leader dies while it writes the topology down (C15): whether the record stands in the log or not, the next start goes on, and writes it if
// it does not.
func TestLeaderDiesWritingTheTopology(t *testing.T) {
	t.Parallel()
	for _, sent := range []bool{false, true} {
		t.Run(fmt.Sprintf("sent-%v", sent), func(t *testing.T) {
			t.Parallel()
			l := openLog(t, false)
			in, out := unique(t, "in"), unique(t, "out")
			l.createTopics(t, 1, in, out)
			b := stream.NewBuilder()
			stream.From(b, in, serde.String, serde.String).To(out, serde.String, serde.String)
			top, err := b.Topology()
			if err != nil {
				t.Fatal(err)
			}
			cfg := runtime.Config{ApplicationID: unique(t, "app"), StateDir: t.TempDir(), ShutdownTimeout: time.Second}
			forms := func() int {
				if topics, err := l.client.ExistingTopics(t.Context(), cfg.ApplicationID+"-millrace-topology-changelog"); err != nil || len(topics) == 0 {
					return 0
				}
				return len(l.read(t, cfg.ApplicationID+"-millrace-topology-changelog"))
			}
			d := &death{sent: sent}
			app := l.through(d.over).start(t, top, cfg)
			eventually(t, 30*time.Second, "it dies", d.dead.Load)
			_ = app.stop() // it cannot tell anybody
			if sent {
				eventually(t, 30*time.Second, "the request has arrived", func() bool { return forms() == 1 })
			} else if n := forms(); n != 0 {
				t.Fatalf("%d forms are written down", n)
			}
			again := l.start(t, top, cfg)
			l.write(t, in, []record{{key: "k", value: "v"}})
			eventually(t, 30*time.Second, "the next one works", func() bool { return l.drained(t, cfg.ApplicationID, in) })
			if err := again.stop(); err != nil {
				t.Fatal(err)
			}
			if n := forms(); n != 1 {
				t.Errorf("%d forms are written down", n)
			}
		})
	}
}
