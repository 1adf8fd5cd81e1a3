package client

import (
	"math"
	"testing"
	"time"
)

// A paused partition gives nothing while others go on, and goes on where it was.
func TestPause(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic := createTopic(t, c, 2)
		p := newProducer(t, c, ProducerConfig{})
		paused, running := TopicPartition{Topic: topic, Partition: 0}, TopicPartition{Topic: topic, Partition: 1}
		f := newFetcher(t, c, FetcherConfig{MaxWait: 50 * time.Millisecond})
		f.Add(paused, 0)
		f.Add(running, 0)
		batchOf := func(tp TopicPartition) func(*Fetched) bool {
			return func(f *Fetched) bool { return f.Batch != nil && f.TopicPartition == tp }
		}
		take := func(tp TopicPartition, end int64) {
			t.Helper()
			got := next(t, f, tp.Topic, func(f *Fetched) bool {
				if f.Batch != nil && f.TopicPartition != tp {
					t.Errorf("%d gives something while it is paused", f.Partition)
				}
				return batchOf(tp)(f)
			})
			if got.Batch.End() != end {
				t.Errorf("%d is read up to %d, want %d", tp.Partition, got.Batch.End(), end)
			}
			got.Batch.Release()
		}
		send(t, p, paused, "a")
		flush(t, p)
		take(paused, 1)
		f.Pause(paused, TopicPartition{Topic: "nobody"})
		for i := range int64(3) {
			send(t, p, paused, "b")
			send(t, p, running, "b")
			flush(t, p)
			if i > 0 { // the first may have met a fetch that was on its way
				take(running, i+1)
				continue
			}
			next(t, f, "running", batchOf(running)).Batch.Release()
			for _, other := range f.Take(f.taken) { // of the same answer
				if other.Batch != nil {
					other.Batch.Release()
				}
			}
			f.taken = nil
		}
		f.Resume(paused)
		got := next(t, f, "resumed", func(f *Fetched) bool { return batchOf(paused)(f) && f.Batch.End() == 4 })
		got.Batch.Release()
	})
}

// After the largest sequence number comes 0, also inside of a batch, and a retry of such a batch is known.
func TestSequenceWrapsAround(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sequence int32
		n        int64
		want     int32
	}{{0, 3, 3}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 3, 1}, {math.MaxInt32 - 2, 3, 0}} {
		if got := nextSequence(c.sequence, c.n); got != c.want {
			t.Errorf("%d and %d records: %d, want %d", c.sequence, c.n, got, c.want)
		}
	}
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		p := newProducer(t, c, ProducerConfig{})
		p.mu.Lock()
		l := &lane{tp: tp, leader: noLeader, sequence: math.MaxInt32 - 3}
		p.mu.lanes[tp] = l
		p.mu.order = append(p.mu.order, l)
		p.mu.Unlock()
		for _, values := range [][]string{{"a", "b"}, {"c", "d", "e"}, {"f"}} { // the second one straddles
			send(t, p, tp, values...)
			flush(t, p)
		}
		if next, ok := p.Next(tp); !ok || next != 6 {
			t.Errorf("the log ends at %d", next)
		}
		if l.sequence != 2 {
			t.Errorf("the next sequence is %d", l.sequence)
		}
	})
}
