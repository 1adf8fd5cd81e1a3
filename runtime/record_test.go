package runtime_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
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
		stream.From(b, in, serde.String, serde.String).GroupByKey(stream.GroupedWith(serde.String, serde.String)).
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
