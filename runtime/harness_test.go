package runtime_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/topology"
)

// testLog is the log that a test runs on: a real one where MILLRACE_KAFKA names it, else an embedded broker.
type testLog struct {
	brokers []string
	dial    dialer
	client  *client.Client
}

// openLog connects to the log. tcp: other processes must reach it too.
func openLog(t testing.TB, tcp bool) *testLog {
	t.Helper()
	if address := os.Getenv("MILLRACE_KAFKA"); address != "" {
		return connectLog(t, []string{address}, nil)
	}
	if tcp {
		return connectLog(t, brokertest.Start(t, brokertest.Listen()).Brokers(), nil)
	}
	b := brokertest.Start(t)
	return connectLog(t, b.Brokers(), b.Dial)
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// through returns the log behind connections that are not what they seem.
func (l *testLog) through(wrap func(net.Conn) net.Conn) *testLog {
	dial := l.dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	wrapped := *l
	wrapped.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return wrap(c), nil
	}
	return &wrapped
}

// connectLog connects to a log that runs.
func connectLog(t testing.TB, brokers []string, dial dialer) *testLog {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Connect(ctx, client.Config{Brokers: brokers, Dial: dial, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &testLog{brokers: brokers, dial: dial, client: c}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// testLogger writes to the test's log with -v, and nowhere without.
func testLogger(t testing.TB) *slog.Logger {
	if !testing.Verbose() {
		return quiet()
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// unique makes a name that no other test and no earlier run has used.
func unique(t testing.TB, suffix string) string {
	name := strings.NewReplacer("/", "-", "#", "-").Replace(strings.ToLower(t.Name()))
	return fmt.Sprintf("%s-%08x-%s", name, rand.Uint32(), suffix)
}

func (l *testLog) createTopics(t testing.TB, partitions int32, names ...string) {
	t.Helper()
	topics := make([]client.NewTopic, len(names))
	for i, name := range names {
		topics[i] = client.NewTopic{Name: name, Partitions: partitions}
	}
	if err := l.client.CreateTopics(t.Context(), topics...); err != nil {
		t.Fatal(err)
	}
}

// record is what tests write and read.
type record struct {
	partition  int32
	key, value string
	timestamp  int64
}

// write appends records to a topic, as a client that retries would: once.
func (l *testLog) write(t testing.TB, topic string, records []record) {
	t.Helper()
	p, err := client.NewProducer(l.client, client.ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Init(ctx); err != nil {
		t.Fatal(err)
	}
	for len(records) > 0 {
		partition, n := records[0].partition, 0
		b := p.Builder()
		for n < len(records) && records[n].partition == partition && n < 1000 {
			r := records[n]
			if r.timestamp == 0 {
				r.timestamp = eventBase
			}
			if err := b.Append([]byte(r.key), []byte(r.value), r.timestamp, nil); err != nil {
				t.Fatal(err)
			}
			n++
		}
		if err := p.Send(ctx, client.TopicPartition{Topic: topic, Partition: partition}, b); err != nil {
			t.Fatal(err)
		}
		records = records[n:]
	}
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func (l *testLog) partitions(t testing.TB, topic string) []client.TopicPartition {
	t.Helper()
	found, err := l.client.RefreshTopics(context.Background(), topic)
	if err != nil {
		t.Fatal(err)
	}
	tps := make([]client.TopicPartition, len(found[topic].Partitions))
	for i := range tps {
		tps[i] = client.TopicPartition{Topic: topic, Partition: int32(i)}
	}
	return tps
}

// read returns all committed records of a topic, in order within each partition.
func (l *testLog) read(t testing.TB, topic string) []record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tps := l.partitions(t, topic)
	ends, err := l.client.ListOffsets(ctx, client.HighWatermark, tps)
	if err != nil {
		t.Fatal(err)
	}
	starts, err := l.client.ListOffsets(ctx, client.LogStart, tps)
	if err != nil {
		t.Fatal(err)
	}
	f, err := client.NewFetcher(l.client, client.FetcherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	left := 0
	for _, tp := range tps {
		if starts[tp] < ends[tp] {
			left++
			f.Add(tp, starts[tp])
		}
	}
	var records []record
	for left > 0 {
		for _, got := range f.Take(nil) {
			if got.Err != nil {
				t.Fatal(got.Err)
			}
			if got.Batch == nil {
				continue
			}
			var r topology.Raw
			for {
				ok, err := got.Batch.Next(&r)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				records = append(records, record{got.Partition, string(r.Key), string(r.Value), r.Timestamp})
			}
			if got.Batch.End() >= ends[got.TopicPartition] {
				left--
				f.Remove(got.TopicPartition)
			}
			got.Batch.Release()
		}
		if left == 0 {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("read %s: %v, %d partitions are not at their ends", topic, ctx.Err(), left)
		case <-f.Ready():
		}
	}
	return records
}

// drained reports whether the group has committed all that the topics hold. They are in topological order, and nothing more
// comes into the first: see the example's drained for why that is sound.
func (l *testLog) drained(t testing.TB, group string, topics ...string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, topic := range topics {
		tps := l.partitions(t, topic)
		if len(tps) == 0 {
			return false
		}
		committed, err := l.client.CommittedOffsets(ctx, group, tps)
		if err != nil {
			t.Fatal(err)
		}
		ends, err := l.client.ListOffsets(ctx, client.HighWatermark, tps)
		if err != nil {
			t.Fatal(err)
		}
		for _, tp := range tps {
			if ends[tp] > 0 && committed[tp].Offset < ends[tp] {
				return false
			}
		}
	}
	return true
}

// eventually waits for ok, polling.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// running is an App that runs.
type running struct {
	*runtime.App
	cancel context.CancelFunc
	done   chan error
}

// start runs a topology until stop, or the end of the test.
func (l *testLog) start(t testing.TB, top *topology.Topology, cfg runtime.Config) *running {
	t.Helper()
	cfg.Brokers, cfg.Dial = l.brokers, l.dial
	if cfg.Logger == nil {
		cfg.Logger = testLogger(t)
	}
	app, err := runtime.New(top, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{App: app, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- app.Run(ctx) }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("stats at the end: %+v", app.Stats())
		}
		cancel()
		select {
		case err := <-r.done: // the test has looked at it, if it cares
			t.Logf("the app has stopped: %v", err)
		case <-time.After(time.Minute):
			t.Error("the app does not stop")
		}
	})
	return r
}

// stop ends the app in order and returns what Run returned.
func (r *running) stop() error {
	r.cancel()
	err := <-r.done
	r.done <- err
	return err
}

// failure waits until the app fails by itself.
func (r *running) failure(t testing.TB, within time.Duration) error {
	t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(within):
		t.Fatalf("the app has not failed within %v", within)
		return nil
	}
}

func int64Of(s string) int64 { return int64(binary.BigEndian.Uint64([]byte(s))) }
