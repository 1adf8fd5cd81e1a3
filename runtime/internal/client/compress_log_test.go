package client

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
	"github.com/millrace-io/millrace/topology"
)

// TestCompression: every log takes what every codec makes, and gives it back; a batch that is larger than the log takes fits when
// it is compressed.
func TestCompression(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		for codec := recordbatch.None; codec.Valid(); codec++ {
			t.Run(codec.String(), func(t *testing.T) {
				t.Parallel()
				tp := TopicPartition{Topic: createTopic(t, c, 1)}
				const size = 2 << 20
				p := newProducer(t, c, ProducerConfig{TransactionalID: unique("txn"), Compression: codec, BatchBytes: size, MaxBatchBytes: size})
				value := make([]byte, 4<<10) // a changelog of zeros
				b, n := p.Builder(), 0
				for ; b.Bytes() < size-8<<10; n++ {
					if err := b.Append([]byte{byte(n), byte(n >> 8)}, value, time.Now().UnixMilli(), nil); err != nil {
						t.Fatal(err)
					}
				}
				if err := p.Send(testContext(t), tp, b); err != nil {
					t.Fatal(err)
				}
				err := p.Flush(testContext(t))
				if err != nil {
					t.Fatal(err)
				}
				end(t, p, true)
				if next, ok := p.Next(tp); !ok || next != int64(n) {
					t.Errorf("the log ends at %d, %v, want %d", next, ok, n)
				}
				if codec == recordbatch.None { // over the limit of the log: it was written in parts
					return
				}
				f := newFetcher(t, c, FetcherConfig{})
				f.Add(tp, 0)
				got := next(t, f, "the batch", func(f *Fetched) bool { return f.Batch != nil })
				defer got.Batch.Release()
				read := 0
				var r topology.Raw
				for ok := true; ok; {
					if ok, err = got.Batch.Next(&r); err != nil {
						t.Fatal(err)
					}
					if ok {
						read++
					}
				}
				if read != n {
					t.Errorf("read %d records of %d", read, n)
				}
				other, err := kgo.NewClient(append(cfg.options(nil), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
					kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{tp.Topic: {0: kgo.NewOffset().At(0)}}))...)
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				for read = 0; read < n; {
					fetched := other.PollFetches(testContext(t))
					if err := fetched.Err(); err != nil {
						t.Fatalf("another client: %v", err)
					}
					fetched.EachRecord(func(r *kgo.Record) {
						if len(r.Value) != len(value) || len(r.Key) != 2 {
							t.Errorf("another client reads %d and %d bytes", len(r.Key), len(r.Value))
						}
						read++
					})
				}
			})
		}
	})
}
