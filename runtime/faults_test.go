package runtime_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// number is a serde that some records are not of.
var number = serde.JSON[int64]()

// sum is a job that can fail in several ways: it doubles numbers, and refuses 13.
func sumJob(t testing.TB, in, out string) *topology.Topology {
	t.Helper()
	b := stream.NewBuilder()
	numbers := stream.From(b, in, serde.String, number)
	doubled := stream.MapValues(numbers, func(v int64) int64 {
		if v == 13 {
			panic("13 brings bad luck")
		}
		return 2 * v
	})
	doubled.To(out, serde.String, number)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func TestUnreachableBroker(t *testing.T) {
	t.Parallel()
	// A port that was free a moment ago: nobody listens there.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	app, err := runtime.New(sumJob(t, "in", "out"), runtime.Config{
		ApplicationID: "app", Brokers: []string{address}, ConnectTimeout: 500 * time.Millisecond, Logger: quiet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = app.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line that names %s", err, address)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	if app.State() != runtime.Failed {
		t.Errorf("state %s", app.State())
	}
	if err := app.Run(t.Context()); !errors.Is(err, runtime.ErrRan) {
		t.Errorf("a second Run: %v", err)
	}
}

// A broker that is away when an instance starts, as it is while it starts again, is waited for.
func TestBrokerComesLater(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Listen())
	address := b.Addr().String()
	l := connectLog(t, b.Brokers(), nil)
	in, out := unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused := make(chan struct{}, 1)
	app, err := runtime.New(sumJob(t, in, out), runtime.Config{
		ApplicationID: unique(t, "app"), Brokers: []string{address}, Logger: quiet(),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, network, address)
			if err != nil {
				select {
				case refused <- struct{}{}:
				default:
				}
			}
			return c, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	<-refused
	brokertest.Start(t, brokertest.Config(func(c *broker.Config) { c.Dir, c.Listen = b.Config.Dir, address }))
	eventually(t, 10*time.Second, "it runs", func() bool { return app.State() == runtime.Running })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMissingTopics(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out := unique(t, "in"), unique(t, "out")
	app := l.start(t, sumJob(t, in, out), runtime.Config{ApplicationID: unique(t, "app")})
	err := app.failure(t, 10*time.Second)
	for _, part := range []string{"topic " + in + " does not exist", "topic " + out + " does not exist"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not say %q", err, part)
		}
	}
}

func TestHeldStateDirectory(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out := unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	cfg := runtime.Config{ApplicationID: unique(t, "app"), StateDir: t.TempDir()}
	first := l.start(t, sumJob(t, in, out), cfg)
	eventually(t, 10*time.Second, "it runs", func() bool { return first.State() == runtime.Running })
	err := l.start(t, sumJob(t, in, out), cfg).failure(t, 10*time.Second)
	if !errors.Is(err, runtime.ErrLocked) || !strings.Contains(err.Error(), cfg.StateDir) {
		t.Errorf("error %v", err)
	}
	if err := first.stop(); err != nil {
		t.Error(err)
	}
}

// A record that cannot be decoded stops the app, which names it; nothing of its transaction is seen. With another handler it
// is left out and counted.
func TestPoisonRecord(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out, id := unique(t, "in"), unique(t, "out"), unique(t, "app")
	l.createTopics(t, 1, in, out)
	l.write(t, in, []record{{key: "a", value: "1"}, {key: "b", value: "no number"}, {key: "c", value: "3"}})
	cfg := runtime.Config{ApplicationID: id, StateDir: t.TempDir()}
	err := l.start(t, sumJob(t, in, out), cfg).failure(t, 10*time.Second)
	if failed, ok := errors.AsType[*runtime.TaskError](err); !ok || failed.Source.Topic != in || failed.Source.Offset != 1 {
		t.Errorf("error %v", err)
	}
	cfg.Deserialization = runtime.LogAndContinue
	app := l.start(t, sumJob(t, in, out), cfg)
	eventually(t, 10*time.Second, "it is processed", func() bool { return l.drained(t, id, in) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	got := l.read(t, out)
	if len(got) != 2 || got[0].value != "2" || got[1].value != "6" {
		t.Errorf("results %v", got)
	}
	if d := app.Stats().Dropped; len(d) != 1 || d[0].Count != 1 || d[0].Reason != topology.ReasonDeserialization {
		t.Errorf("dropped %v", d)
	}
}

// A panic of user code is an error with the record's coordinates.
func TestPanic(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out := unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	l.write(t, in, []record{{key: "a", value: "1"}, {key: "b", value: "13"}})
	err := l.start(t, sumJob(t, in, out), runtime.Config{ApplicationID: unique(t, "app")}).failure(t, 10*time.Second)
	if failed, ok := errors.AsType[*runtime.TaskError](err); !ok || failed.Source.Offset != 1 || !strings.Contains(err.Error(), "bad luck") {
		t.Errorf("error %v", err)
	}
	if got := l.read(t, out); len(got) != 0 {
		t.Errorf("results of the lost transaction are seen: %v", got)
	}
}

// The listener sees every state, in order.
func TestListener(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out := unique(t, "in"), unique(t, "out")
	l.createTopics(t, 2, in, out)
	states := make(chan runtime.State, 16)
	app := l.start(t, sumJob(t, in, out), runtime.Config{
		ApplicationID: unique(t, "app"),
		Listener:      func(c runtime.StateChange) { states <- c.To },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, want := range []runtime.State{runtime.Starting, runtime.Rebalancing, runtime.Running} {
		select {
		case got := <-states:
			if got != want {
				t.Fatalf("state %s, want %s", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("state %s does not come", want)
		}
	}
	if err := app.stop(); err != nil {
		t.Error(err)
	}
	if a, b := <-states, <-states; a != runtime.Closing || b != runtime.Closed {
		t.Errorf("at the end %s, %s", a, b)
	}
}

// Everything that may fail at least once, works at least once.
func TestAtLeastOnce(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, partitions)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 2000, partitions, 0))
	app := l.start(t, top, runtime.Config{ApplicationID: n.App, Guarantee: runtime.AtLeastOnce})
	eventually(t, 30*time.Second, "it is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
	n.check(t, l) // nothing failed, so that it is exact
}
