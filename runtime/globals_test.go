package runtime

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// A global table whose topic is not there any more, or cannot be looked up, stops the start: empty, the table would give wrong results.
func TestGlobalTopicThatIsGone(t *testing.T) {
	t.Parallel()
	broker := brokertest.Start(t)
	c, err := client.Connect(t.Context(), client.Config{Brokers: broker.Brokers(), Dial: broker.Dial, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := topology.NewBuilder()
	topology.AddGlobalTable[*state.Global[string, string]](b, "names", "names", state.GlobalSpec("names", serde.String, serde.String))
	top, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	in := &instance{topology: top, client: c, log: slog.New(slog.DiscardHandler)}
	in.cfg.Logger = in.log
	in.plan = newPlan(top, in.cfg, c)
	defer func() { _ = in.close() }()
	if err := in.loadGlobals(t.Context()); err == nil || !strings.Contains(err.Error(), "topic names does not exist") {
		t.Errorf("without the topic: %v", err)
	}
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := in.loadGlobals(cut); !errors.Is(err, context.Canceled) {
		t.Errorf("cut off: %v", err)
	}
}

// The stack of a panic in the processor of a global store is in the log, as that of a panic in a task is.
func TestPanicOfAGlobalStoreLeavesItsStack(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	in := &instance{log: slog.New(slog.NewTextHandler(&said, nil))}
	boom := &PanicError{Value: "boom", Stack: []byte("where-it-was")}
	if err := in.badGlobal("tally", topology.Coordinates{Topic: "words"}, &topology.Raw{}, true, boom); !errors.Is(err, boom) {
		t.Errorf("badGlobal = %v", err)
	}
	if !strings.Contains(said.String(), "where-it-was") {
		t.Errorf("the log says %s", said.String())
	}
}
