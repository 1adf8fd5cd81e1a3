package brokertest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker"
)

// closeTimeout bounds what Close may wait for requests in flight.
const closeTimeout = 5 * time.Second

// Option changes how Start opens the broker.
type Option func(*broker.Config)

// Listen makes the broker listen on a free port of the loopback interface.
func Listen() Option { return func(c *broker.Config) { c.Listen = "127.0.0.1:0" } }

// AutoCreate makes the broker create topics that clients ask for, with that many partitions.
func AutoCreate(partitions int32) Option {
	return func(c *broker.Config) { c.AutoCreateTopics, c.DefaultPartitions = true, partitions }
}

// Memory keeps the data on a memory file system, which makes Crash possible.
func Memory() Option {
	return func(c *broker.Config) { c.FS, c.Dir = newMemory(), "data" }
}

// Config makes any other change.
func Config(f func(*broker.Config)) Option { return f }

// Broker is a running broker of a test.
type Broker struct {
	*broker.Broker
	// Config is what it was opened with.
	Config broker.Config
}

// Start opens a broker for the length of t, and closes it when t ends, when what is on its disk must pass Verify. Without options its data is in a temporary
// directory and it does not listen: use its Brokers and Dial.
func Start(t testing.TB, opts ...Option) *Broker {
	t.Helper()
	cfg := broker.Config{Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	return open(t, cfg)
}

func open(t testing.TB, cfg broker.Config) *Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("open broker: %v", err)
	}
	t.Cleanup(func() { stop(t, b) })
	return &Broker{b, cfg}
}

func stop(t testing.TB, b *broker.Broker) {
	t.Helper()
	verify(t, b)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Errorf("close broker: %v", err)
	}
}

// verify checks what is on the disk, for as long as closing may take: much data on a busy machine is checked in part.
func verify(t testing.TB, b *broker.Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := b.Verify(ctx); err != nil && !errors.Is(err, broker.ErrClosed) && ctx.Err() == nil && b.Err() == nil {
		t.Errorf("the data directory of a test is damaged: %v", err)
	}
}

// Restart closes the broker and opens it again on its directory, as another Broker.
func (b *Broker) Restart(t testing.TB) *Broker {
	t.Helper()
	stop(t, b.Broker)
	return open(t, b.Config)
}

// Crash opens another Broker on what a power cut at this moment would leave of b's data: everything that was synced, and
// each thing that was not with the given probability in percent, drawn from seed. b runs on, unaware, until t ends.
// It needs Memory.
func (b *Broker) Crash(t testing.TB, unsyncedPercent int, seed uint64) *Broker {
	t.Helper()
	mem, ok := b.Config.FS.(*memory)
	if !ok {
		t.Fatal("brokertest: Crash needs the option Memory")
	}
	cfg := b.Config
	cfg.FS = mem.crashed(unsyncedPercent, seed)
	return open(t, cfg)
}
