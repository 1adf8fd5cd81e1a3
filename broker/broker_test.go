package broker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// testTimeout bounds everything that a test waits for.
const testTimeout = 30 * time.Second

// client returns a client of b in process, closed when t ends.
func client(t testing.TB, b *brokertest.Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	return newClient(t, append([]kgo.Opt{kgo.SeedBrokers(b.Brokers()...), kgo.Dialer(b.Dial)}, opts...)...)
}

// tcpClient returns a client of b over TCP.
func tcpClient(t testing.TB, b *brokertest.Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	return newClient(t, append([]kgo.Opt{kgo.SeedBrokers(b.Addr().String())}, opts...)...)
}

func newClient(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.FetchMaxWait(200 * time.Millisecond), kgo.RecordRetries(20), kgo.ProducerLinger(0),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func createTopic(t testing.TB, cl *kgo.Client, topic string, partitions int32) {
	t.Helper()
	resp, err := kadm.NewClient(cl).CreateTopic(testContext(t), partitions, -1, nil, topic)
	if err != nil || resp.Err != nil {
		t.Fatalf("create %s: %v, %v", topic, err, resp.Err)
	}
}

// numbered returns the record "topic-n" for each n.
func numbered(topic string, from, to int) []*kgo.Record {
	var rs []*kgo.Record
	for i := from; i < to; i++ {
		rs = append(rs, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "%s-%d", topic, i)})
	}
	return rs
}

// numberedValues returns the values of numbered.
func numberedValues(topic string, from, to int) []string {
	var vs []string
	for _, r := range numbered(topic, from, to) {
		vs = append(vs, string(r.Value))
	}
	return vs
}

// consume polls until n records have come, and returns their values in order of arrival.
func consume(t testing.TB, cl *kgo.Client, n int) []string {
	t.Helper()
	ctx := testContext(t)
	var got []string
	for len(got) < n {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), n, err)
		}
		for _, e := range fs.Errors() {
			t.Fatalf("fetch %s/%d: %v", e.Topic, e.Partition, e.Err)
		}
		fs.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if len(got) > n {
		t.Fatalf("%d records, want %d", len(got), n)
	}
	return got
}

func TestProduceConsume(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Listen())
	for name, connect := range map[string]func(testing.TB, *brokertest.Broker, ...kgo.Opt) *kgo.Client{"pipe": client, "tcp": tcpClient} {
		t.Run(name, func(t *testing.T) {
			cl := connect(t, b)
			createTopic(t, cl, name, 3)
			if err := cl.ProduceSync(testContext(t), numbered(name, 0, 1000)...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			consumer := connect(t, b, kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			consume(t, consumer, 1000)
		})
	}
}
