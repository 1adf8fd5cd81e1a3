package client

import (
	"testing"
	"time"
)

// A partition whose batches nobody releases does not keep others from being read where shares are fair, however small the buffer; it holds
// no more than its share and an answer itself.
func TestFairShares(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic := createTopic(t, c, 3)
		p := newProducer(t, c, ProducerConfig{})
		for i := range int32(3) {
			for range 20 {
				send(t, p, TopicPartition{Topic: topic, Partition: i}, string(make([]byte, 40<<10))) // more than a share each
			}
		}
		flush(t, p)
		f := newFetcher(t, c, FetcherConfig{BufferBytes: 64 << 10, MaxWait: 50 * time.Millisecond, Fair: true})
		for i := range int32(3) {
			f.Add(TopicPartition{Topic: topic, Partition: i}, 0)
		}
		held := make(map[int32]int)
		for end := int64(0); end < 20; {
			got := next(t, f, "the last partition", func(n *Fetched) bool {
				if n.Partition < 2 && n.Batch != nil { // kept for ever
					held[n.Partition] += n.Batch.Bytes()
					n.Batch = nil
				}
				return n.Partition == 2 && n.Batch != nil
			})
			end = got.Batch.End()
			got.Batch.Release()
		}
		for i, n := range held {
			if n > 128<<10 {
				t.Errorf("partition %d holds %d bytes", i, n)
			}
		}
	})
}
