package broker_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

const (
	benchRecords    = 1000 // of 100 bytes, in a batch
	benchPartitions = 4
)

// produceFrame is a Produce request of one batch for each partition.
func produceFrame(t testing.TB, b *brokertest.Broker, topic string) []byte {
	t.Helper()
	values := make([]string, benchRecords)
	for i := range values {
		values[i] = strings.Repeat("v", 100)
	}
	req := produceRequest(topic, 0, rawBatch(-1, -1, -1, values...))
	p := req.Topics[0].Partitions[0]
	for i := int32(1); i < benchPartitions; i++ {
		p.Partition = i
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	req.SetVersion(9)
	return kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
}

// discard reads one response into buf without looking at it.
func (c *rawConn) discard(t testing.TB, buf []byte) int {
	t.Helper()
	if _, err := io.ReadFull(c, buf[:4]); err != nil {
		t.Fatal(err)
	}
	n := int(buf[0])<<24 | int(buf[1])<<16 | int(buf[2])<<8 | int(buf[3])
	if _, err := io.ReadFull(c, buf[:n]); err != nil {
		t.Fatal(err)
	}
	return n
}

// BenchmarkProduce appends batches over one pipelined connection: the request's bytes are read once, checked once, and
// written to the journal. Expect the checksum and the copies of pipe and journal: about 0.1 ns a byte each.
func BenchmarkProduce(b *testing.B) {
	for _, d := range []broker.Durability{broker.Sync, broker.Async} {
		b.Run(d.String(), func(b *testing.B) {
			br := brokertest.Start(b, brokertest.Config(func(c *broker.Config) { c.Durability = d }))
			createTopic(b, client(b, br), "t", benchPartitions)
			frame, c := produceFrame(b, br, "t"), dialRaw(b, br)
			go func() {
				for range b.N {
					if _, err := c.Write(frame); err != nil {
						return
					}
				}
			}()
			buf := make([]byte, 4096)
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				c.discard(b, buf)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords/benchPartitions, "ns/record")
		})
	}
}

// BenchmarkFetch reads what is in memory: headers are encoded, records are handed on as they are stored.
func BenchmarkFetch(b *testing.B) {
	br := brokertest.Start(b)
	createTopic(b, client(b, br), "t", benchPartitions)
	c, buf := dialRaw(b, br), make([]byte, 16<<20)
	if _, err := c.Write(produceFrame(b, br, "t")); err != nil {
		b.Fatal(err)
	}
	c.discard(b, buf)
	frame := fetchFrame("t")
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := c.Write(frame); err != nil {
			b.Fatal(err)
		}
		n = c.discard(b, buf)
	}
	b.SetBytes(int64(n))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords/benchPartitions, "ns/record")
}

// fetchFrame is a Fetch request of all partitions from their start.
func fetchFrame(topic string) []byte {
	req := fetchRequest(topic, 0, 0)
	p := req.Topics[0].Partitions[0]
	for i := int32(1); i < benchPartitions; i++ {
		p.Partition = i
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
	}
	req.MaxBytes = 16 << 20
	req.SetVersion(12)
	return kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
}

// TestAllocationsPerRecord: what a request allocates does not depend on its records.
func TestAllocationsPerRecord(t *testing.T) {
	b := brokertest.Start(t)
	createTopic(t, client(t, b), "t", benchPartitions)
	c, buf := dialRaw(t, b), make([]byte, 16<<20)
	for name, frame := range map[string][]byte{"produce": bytes.Clone(produceFrame(t, b, "t")), "fetch": fetchFrame("t")} {
		n := testing.AllocsPerRun(50, func() {
			if _, err := c.Write(frame); err != nil {
				t.Fatal(err)
			}
			c.discard(t, buf)
		})
		if limit := 0.05 * benchRecords * benchPartitions; n > limit {
			t.Errorf("%s: %v allocations for %d records", name, n, benchRecords*benchPartitions)
		}
		t.Logf("%s: %v allocations for %d records", name, n, benchRecords*benchPartitions)
	}
}
