package broker_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

const large = 24 << 20

// largeTopic makes a topic that takes batches of 32 MiB.
func largeTopic(t testing.TB, cl *kgo.Client, topic string) {
	t.Helper()
	r, err := kadm.NewClient(cl).CreateTopic(testContext(t), 1, -1, map[string]*string{"max.message.bytes": kmsg.StringPtr("33554432")}, topic)
	if err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
}

// largeValue is a value that no codec makes smaller.
func largeValue(seed uint64) []byte {
	value := make([]byte, large)
	rng := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = rng.Read(value) // never fails
	return value
}

// TestLargeRecords: records of 24 MiB go in and out, from several producers at once, where the budget has room for the request of one only.
func TestLargeRecords(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 150 MiB")
	}
	b := brokertest.Start(t, brokertest.Config(func(c *broker.Config) {
		c.Durability, c.MaxRequestBytes, c.MaxInFlightBytes = broker.Async, 32<<20, 40<<20
	}))
	admin := client(t, b)
	largeTopic(t, admin, "t")
	const producers = 3
	var wg sync.WaitGroup
	for seed := range uint64(producers) {
		cl := client(t, b, kgo.ProducerBatchMaxBytes(32<<20), kgo.BrokerMaxWriteBytes(64<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
		wg.Go(func() {
			if err := cl.ProduceSync(testContext(t), &kgo.Record{Topic: "t", Key: []byte{byte(seed)}, Value: largeValue(seed)}).FirstErr(); err != nil {
				t.Errorf("producer %d: %v", seed, err)
			}
		})
	}
	wg.Wait()
	cl := client(t, b, kgo.ConsumeTopics("t"), kgo.FetchMaxBytes(64<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.BrokerMaxReadBytes(100<<20))
	for seen := 0; seen < producers; {
		fs := cl.PollFetches(testContext(t))
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			seen++
			if !bytes.Equal(r.Value, largeValue(uint64(r.Key[0]))) {
				t.Errorf("the value of producer %d is another, of %d bytes", r.Key[0], len(r.Value))
			}
		})
	}
}

// TestFrameLimits: by default a frame may have 100 MiB, or what the budget has if that is less; a batch is still bounded by its topic.
func TestFrameLimits(t *testing.T) {
	t.Parallel()
	limit := func(b *brokertest.Broker, size uint32) (refused bool) {
		c := dialRaw(t, b)
		if _, err := c.Write(binary.BigEndian.AppendUint32(nil, size)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte{0, 0}); err != nil { // the connection is closed already, or takes them
			return true
		}
		return false
	}
	for _, c := range []struct {
		name   string
		change func(*broker.Config)
		most   uint32
	}{
		{"default", func(*broker.Config) {}, 100 << 20},
		{"small budget", func(c *broker.Config) { c.MaxInFlightBytes = 3 << 20 }, 3 << 20},
	} {
		b := brokertest.Start(t, brokertest.Memory(), brokertest.Config(c.change))
		if limit(b, c.most) || !limit(b, c.most+1) {
			t.Errorf("%s: the limit is not %d", c.name, c.most)
		}
	}
	b := brokertest.Start(t, brokertest.Memory())
	createTopic(t, client(t, b), "t", 1)
	r := ask[*kmsg.ProduceResponse](t, dialRaw(t, b), 9, produceRequest("t", 0, rawBatch(-1, -1, -1, string(make([]byte, 2<<20)))))
	if code := r.Topics[0].Partitions[0].ErrorCode; code != kerr.MessageTooLarge.Code {
		t.Errorf("2 MiB for a topic that takes 1: %v", kerr.ErrorForCode(code))
	}
}
