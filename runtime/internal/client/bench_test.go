package client

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/topology"
)

// BenchmarkProduceFetch writes transactions of 20,000 records of 116 bytes to an embedded broker and reads them, in the same
// process. Expected: 45 ns to build and 45 ns to read a record, the rest is the broker, its disk, and copying.
func BenchmarkProduceFetch(b *testing.B) {
	const n = 20_000
	log := brokertest.Start(b)
	c, err := Connect(b.Context(), Config{Brokers: log.Brokers(), Dial: log.Dial})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	tp := TopicPartition{Topic: unique("bench")}
	if err := c.CreateTopics(b.Context(), NewTopic{Name: tp.Topic, Partitions: 1}); err != nil {
		b.Fatal(err)
	}
	p, err := NewProducer(c, ProducerConfig{TransactionalID: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	if err := p.Init(b.Context()); err != nil {
		b.Fatal(err)
	}
	f, err := NewFetcher(c, FetcherConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	f.Add(tp, 0)
	key, value := make([]byte, 16), make([]byte, 100)
	var raw topology.Raw
	var taken []Fetched
	b.ReportAllocs()
	b.SetBytes(n * 116)
	for b.Loop() {
		batch := p.Builder()
		for i := range n {
			if err := batch.Append(key, value, int64(i), nil); err != nil {
				if err = p.Send(b.Context(), tp, batch); err != nil {
					b.Fatal(err)
				}
				batch = p.Builder()
				if err = batch.Append(key, value, int64(i), nil); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := p.Send(b.Context(), tp, batch); err != nil {
			b.Fatal(err)
		}
		if err := p.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := p.End(b.Context(), true); err != nil {
			b.Fatal(err)
		}
		for read := 0; read < n; {
			select {
			case <-f.Ready():
			case <-time.After(10 * time.Second):
				b.Fatalf("%d of %d records after 10 s", read, n)
			}
			taken = f.Take(taken[:0])
			for _, got := range taken {
				if got.Err != nil {
					b.Fatal(got.Err)
				}
				if got.Batch == nil {
					continue
				}
				for ok := true; ok; {
					if ok, err = got.Batch.Next(&raw); err != nil {
						b.Fatal(err)
					}
					if ok {
						read++
					}
				}
				got.Batch.Release()
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}
