package client

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// onEachLog runs a test against every log there is: the embedded broker, and the Kafka that MILLRACE_KAFKA names.
func onEachLog(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		b := brokertest.Start(t)
		test(t, Config{Brokers: b.Brokers(), Dial: b.Dial})
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		address := os.Getenv("MILLRACE_KAFKA")
		if address == "" {
			t.Skip("MILLRACE_KAFKA=host:port does not name a Kafka")
		}
		test(t, Config{Brokers: []string{address}})
	})
}

// onEachLogAndVersion runs a test also as an older log has it, where transactions are of version 1.
func onEachLogAndVersion(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Helper()
	onEachLog(t, func(t *testing.T, cfg Config) {
		for _, v1 := range []bool{false, true} {
			t.Run(fmt.Sprintf("v1=%v", v1), func(t *testing.T) {
				cfg := cfg
				cfg.transactionV1 = v1
				test(t, cfg)
			})
		}
	})
}

var named atomic.Int64

// unique returns a name that no earlier run of a test has used, for the log outlives the tests.
func unique(what string) string {
	return fmt.Sprintf("client-test-%s-%d-%d", what, time.Now().UnixNano(), named.Add(1))
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, cfg Config) *Client {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	c, err := Connect(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func createTopic(t *testing.T, c *Client, partitions int32) string {
	t.Helper()
	name := unique("topic")
	if err := c.CreateTopics(testContext(t), NewTopic{Name: name, Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	return name
}

func deleteTopic(t *testing.T, c *Client, topic string) {
	t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = kmsg.StringPtr(topic)
	req.Topics, req.TopicNames, req.TimeoutMillis = append(req.Topics, rt), []string{topic}, 10_000
	resp, err := req.RequestWith(testContext(t), c.conn)
	if err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Fatalf("delete topic: %+v, %v", resp, err)
	}
}

func newProducer(t *testing.T, c *Client, cfg ProducerConfig) *Producer {
	t.Helper()
	p, err := NewProducer(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.Init(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return p
}

// send sends one batch with a record for each value.
func send(t *testing.T, p *Producer, tp TopicPartition, values ...string) {
	t.Helper()
	b := p.Builder()
	for _, v := range values {
		if err := b.Append([]byte("key"), []byte(v), time.Now().UnixMilli(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Send(testContext(t), tp, b); err != nil {
		t.Fatal(err)
	}
}

func flush(t *testing.T, p *Producer) {
	t.Helper()
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func end(t *testing.T, p *Producer, commit bool) {
	t.Helper()
	if err := p.End(testContext(t), commit); err != nil {
		t.Fatal(err)
	}
}

// testFetcher is a Fetcher with what was taken from it and not looked at.
type testFetcher struct {
	*Fetcher
	taken []Fetched
}

func newFetcher(t *testing.T, c *Client, cfg FetcherConfig) *testFetcher {
	t.Helper()
	f, err := NewFetcher(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return &testFetcher{Fetcher: f}
}

// atomicBroker dials the broker of the moment.
type atomicBroker struct {
	atomic.Pointer[brokertest.Broker]
}

func (a *atomicBroker) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return a.Load().Dial(ctx, network, address)
}
