package client

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topology"
)

// next waits for news that ok accepts. Batches before it are released unread; what comes after it is kept.
func next(t *testing.T, f *testFetcher, what string, ok func(*Fetched) bool) Fetched {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		f.taken = f.Take(f.taken)
		for len(f.taken) > 0 {
			got := f.taken[0]
			f.taken = f.taken[1:]
			if ok(&got) {
				return got
			}
			if got.Batch != nil {
				got.Batch.Release()
			}
		}
		select {
		case <-f.Ready():
		case <-timeout:
			t.Fatalf("%s: nothing after 20 s", what)
		}
	}
}

// Every codec, as an independent client writes it, with null and empty keys and values, headers, and times.
func TestCodecsFromAnotherClient(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		ctx := testContext(t)
		c := connect(t, cfg)
		for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
			tp := TopicPartition{Topic: createTopic(t, c, 1)}
			opts := append(cfg.options(nil), kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(10*time.Millisecond))
			other, err := kgo.NewClient(opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			var sent []*kgo.Record
			at := time.UnixMilli(time.Now().Add(-8 * time.Hour).UnixMilli()) // what is a week old may be deleted at any moment
			for i := range 500 {
				r := &kgo.Record{Topic: tp.Topic, Value: bytes.Repeat([]byte{byte(i)}, i), Timestamp: at.Add(time.Duration(i%7) * time.Hour)}
				switch i % 4 {
				case 0:
					r.Value = nil
				case 1:
					r.Key = []byte{}
				case 2:
					r.Key = fmt.Appendf(nil, "key %d", i)
				case 3:
					r.Headers = []kgo.RecordHeader{{Key: "h", Value: []byte("v")}, {Key: "n"}}
				}
				sent = append(sent, r)
			}
			if err := other.ProduceSync(ctx, sent...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			f := newFetcher(t, c, FetcherConfig{})
			f.Add(tp, 0)
			var i int
			for i < len(sent) {
				got := next(t, f, "codec", func(n *Fetched) bool { return n.Batch != nil || n.Err != nil })
				if got.Err != nil {
					t.Fatal(got.Err)
				}
				var raw topology.Raw
				for {
					ok, err := got.Batch.Next(&raw)
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					want := sent[i]
					if raw.Offset != int64(i) || raw.Timestamp != want.Timestamp.UnixMilli() || len(raw.Headers) != len(want.Headers) ||
						(raw.Value == nil) != (want.Value == nil) || !bytes.Equal(raw.Value, want.Value) ||
						(raw.Key == nil) != (want.Key == nil) || !bytes.Equal(raw.Key, want.Key) {
						t.Fatalf("record %d: got %+v, want %+v", i, raw, want)
					}
					for j, h := range raw.Headers {
						if h.Key != want.Headers[j].Key || !bytes.Equal(h.Value, want.Headers[j].Value) {
							t.Fatalf("record %d header %d: got %+v", i, j, h)
						}
					}
					i++
				}
				got.Batch.Release()
			}
		}
	})
}

// That nothing has come is said again after a while, and not sooner.
func TestFetchSaysAgain(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		f := newFetcher(t, c, FetcherConfig{MaxWait: 10 * time.Millisecond})
		f.sayAgain = 200 * time.Millisecond
		began := time.Now()
		f.Add(tp, 0)
		const times = 3
		for range 1 + times {
			got := next(t, f, "what is known", func(*Fetched) bool { return true })
			if got.Batch != nil || got.Lag != 0 || got.Err != nil {
				t.Fatalf("got %+v", got)
			}
		}
		if took := time.Since(began); took < times*f.sayAgain {
			t.Errorf("it was said again %d times in %v", times, took)
		}
	})
}

// An added partition does not wait for the long poll of the others, and what is produced arrives at once.
func TestFetchDoesNotWait(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic := createTopic(t, c, 2)
		a, b := TopicPartition{Topic: topic, Partition: 0}, TopicPartition{Topic: topic, Partition: 1}
		p := newProducer(t, c, ProducerConfig{})
		send(t, p, b, "b")
		flush(t, p)
		f := newFetcher(t, c, FetcherConfig{MaxWait: 20 * time.Second})
		withBatch := func(n *Fetched) bool { return n.Batch != nil }

		f.Add(a, 0)
		if got := next(t, f, "empty partition", func(n *Fetched) bool { return n.TopicPartition == a }); got.Lag != 0 || got.Batch != nil {
			t.Fatalf("got %+v: the lag of an empty partition is known to be 0", got)
		}
		start := time.Now()
		f.Add(b, 0)
		got := next(t, f, "added partition", withBatch)
		if got.TopicPartition != b || got.Lag != 0 || got.HighWatermark != 1 {
			t.Fatalf("got %+v", got)
		}
		got.Batch.Release()
		send(t, p, a, "a")
		flush(t, p)
		if got = next(t, f, "produced", withBatch); got.TopicPartition != a || got.Lag != 0 {
			t.Fatalf("got %+v", got)
		}
		got.Batch.Release()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v with a long poll of 20 s", took)
		}
		f.Add(b, 0) // again: what was read is read anew
		if got = next(t, f, "moved", withBatch); got.TopicPartition != b {
			t.Fatalf("got %+v", got)
		}
		if values := drainBatch(t, &got); !slices.Equal(values, []string{"b"}) {
			t.Fatalf("got %v", values)
		}
		f.Remove(a)
		f.Remove(b)
		send(t, p, a, "nobody reads this")
		flush(t, p)
		if got := f.Take(nil); len(got) != 0 {
			t.Fatalf("got %+v of removed partitions", got)
		}
	})
}

// What has been fetched is bounded, and a partition whose buffer is full does not hold up the others.
func TestBackPressure(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic := createTopic(t, c, 2)
		a, b := TopicPartition{Topic: topic, Partition: 0}, TopicPartition{Topic: topic, Partition: 1}
		p := newProducer(t, c, ProducerConfig{BatchBytes: 10_000})
		const n = 100
		for range n {
			send(t, p, a, string(make([]byte, 9_000)))
		}
		flush(t, p)
		f := newFetcher(t, c, FetcherConfig{MaxPartitionBytes: 20_000, PartitionBufferBytes: 50_000, MaxWait: 20 * time.Second})
		f.Add(a, 0)
		f.Add(b, 0)
		var held []Fetched
		bytes := 0
		deadline := time.Now().Add(time.Second)
		for time.Now().Before(deadline) {
			select {
			case <-f.Ready():
			case <-time.After(50 * time.Millisecond):
			}
			for _, got := range f.Take(nil) {
				if got.Batch != nil {
					held = append(held, got)
					bytes += got.Batch.Bytes()
				}
			}
		}
		if bytes > 50_000+20_000 || bytes < 40_000 {
			t.Fatalf("%d bytes are held, the bound is 50,000", bytes)
		}
		send(t, p, b, "passes")
		flush(t, p)
		got := next(t, f, "the other partition", func(n *Fetched) bool { return n.Batch != nil })
		if got.TopicPartition != b {
			t.Fatalf("got %+v", got)
		}
		got.Batch.Release()
		read := 0
		for _, h := range held {
			read += len(drainBatch(t, &h))
		}
		for read < n {
			got := next(t, f, "after releasing", func(n *Fetched) bool { return n.Batch != nil })
			read += len(drainBatch(t, &got))
		}
	})
}

// An offset that the log does not have is an error: nothing is skipped or read twice because a client chose so.
func TestOffsetOutOfRange(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		f := newFetcher(t, c, FetcherConfig{})
		f.Add(tp, 17)
		got := next(t, f, "out of range", func(n *Fetched) bool { return n.Err != nil })
		if !isA[*OutOfRangeError](got.Err) || ClassOf(got.Err) != ClassFatal {
			t.Fatalf("got %v (%v)", got.Err, ClassOf(got.Err))
		}
		f.Add(tp, 0)
		if got = next(t, f, "in range", func(*Fetched) bool { return true }); got.Err != nil || got.Lag != 0 {
			t.Fatalf("got %+v", got)
		}
	})
}

// The position moves past the marker of an aborted transaction, though there is nothing to read; an open one is not
// passed, and counts as nothing more to read.
func TestPositionPassesMarkers(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id")})
		send(t, p, tp, "a", "b")
		flush(t, p)
		f := newFetcher(t, c, FetcherConfig{})
		f.Add(tp, 0)
		got := next(t, f, "open transaction", func(n *Fetched) bool { return n.HighWatermark == 2 })
		if got.Batch != nil || got.Lag != 0 || got.LastStable != 0 {
			t.Fatalf("got %+v while the transaction is open", got)
		}
		end(t, p, false)
		got = next(t, f, "aborted transaction", func(n *Fetched) bool { return n.Batch != nil })
		if got.Batch.End() != 3 || got.Lag != 0 {
			t.Fatalf("End() = %d, lag %d", got.Batch.End(), got.Lag)
		}
		if values := drainBatch(t, &got); len(values) != 0 {
			t.Fatalf("got %v of an aborted transaction", values)
		}
	})
}

// A topic that is deleted and created again is another log: its offsets mean nothing any more.
func TestTopicIsRecreated(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		ctx := testContext(t)
		c := connect(t, cfg)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		f := newFetcher(t, c, FetcherConfig{})
		f.Add(tp, 0)
		next(t, f, "the first one", func(n *Fetched) bool { return n.Err == nil })
		deleteTopic(t, c, tp.Topic)
		if err := retry(ctx, func() error { return c.CreateTopics(ctx, NewTopic{Name: tp.Topic, Partitions: 1}) }); err != nil {
			t.Fatal(err)
		}
		got := next(t, f, "the second one", func(n *Fetched) bool { return n.Err != nil })
		if !isA[*RecreatedError](got.Err) || ClassOf(got.Err) != ClassFatal {
			t.Errorf("got %v (%v)", got.Err, ClassOf(got.Err))
		}
	})
}

// The memory of a partition that is removed is free for others, though its batches were not released.
func TestRemoveFreesTheBuffer(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic := createTopic(t, c, 2)
		a, b := TopicPartition{Topic: topic, Partition: 0}, TopicPartition{Topic: topic, Partition: 1}
		p := newProducer(t, c, ProducerConfig{BatchBytes: 1000})
		for range 10 {
			send(t, p, a, string(make([]byte, 900)))
		}
		flush(t, p)
		send(t, p, b, "is held")
		flush(t, p)
		f := newFetcher(t, c, FetcherConfig{BufferBytes: 5_000})
		f.Add(b, 0)
		first := next(t, f, "the other one", func(n *Fetched) bool { return n.Batch != nil })
		f.Add(a, 0)
		kept := next(t, f, "fills the buffer", func(n *Fetched) bool { return n.Batch != nil })
		send(t, p, b, "waits")
		flush(t, p)
		select {
		case <-f.Ready(): // of the ends that have moved perhaps
			if got := f.Take(nil); slices.ContainsFunc(got, func(n Fetched) bool { return n.Batch != nil }) {
				t.Fatalf("got %+v with a full buffer", got)
			}
		case <-time.After(100 * time.Millisecond):
		}
		f.Remove(a)
		got := next(t, f, "the other one's second", func(n *Fetched) bool { return n.Batch != nil })
		got.Batch.Release()
		first.Batch.Release()
		kept.Batch.Release()
		if f.mu.Lock(); f.mu.held != 0 {
			t.Errorf("%d bytes are held and nothing is out", f.mu.held)
		}
		f.mu.Unlock()
	})
}

// A buffer that is full is read into again once it is made larger.
func TestLargerBuffer(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		p := newProducer(t, c, ProducerConfig{BatchBytes: 1000})
		for range 20 {
			send(t, p, tp, string(make([]byte, 900)))
		}
		flush(t, p)
		f := newFetcher(t, c, FetcherConfig{BufferBytes: 5_000, MaxPartitionBytes: 1_000})
		f.Add(tp, 0)
		news := func(n *Fetched) bool { return n.Batch != nil }
		var kept []Fetched
		for held := 0; held < 5_000; held += kept[len(kept)-1].Batch.Bytes() {
			kept = append(kept, next(t, f, "fills the buffer", news))
		}
		select {
		case <-f.Ready():
			if got := f.Take(nil); slices.ContainsFunc(got, func(n Fetched) bool { return n.Batch != nil }) {
				t.Fatalf("got %+v with a full buffer", got)
			}
		case <-time.After(100 * time.Millisecond): // it sleeps now
		}
		f.SetBufferBytes(50_000)
		for _, k := range kept {
			k.Batch.Release()
		}
		for end := kept[len(kept)-1].Batch.End(); end < 20; {
			got := next(t, f, "the rest", news)
			end = got.Batch.End()
			got.Batch.Release()
		}
	})
}

// Only topics that exist are found, by name and among all.
func TestExistingTopics(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic, none := createTopic(t, c, 2), unique("none")
		found, err := c.ExistingTopics(testContext(t), none, topic)
		if err != nil || len(found) != 1 || len(found[topic].Partitions) != 2 {
			t.Errorf("topics %v, %v", found, err)
		}
		all, err := c.AllTopics(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := all[none]; ok || len(all[topic].Partitions) != 2 {
			t.Errorf("topics %v", all)
		}
	})
}

// unreliable is a network on which connections die after some bytes.
type unreliable struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	limit atomic.Int64 // bytes read or written until the next death; 0: none
	cuts  atomic.Int64
}

func (u *unreliable) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	dial := u.dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &dyingConn{Conn: conn, u: u}, nil
}

type dyingConn struct {
	net.Conn
	u    *unreliable
	once sync.Once
}

func (c *dyingConn) spend(n int) {
	if c.u.limit.Load() != 0 && c.u.limit.Add(-int64(n)) <= 0 {
		c.u.limit.Store(20_000)
		c.once.Do(func() { c.u.cuts.Add(1); _ = c.Conn.Close() })
	}
}

func (c *dyingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.spend(n) // what was written arrives, but nobody hears the answer
	return n, err
}

// Connections die all the time, with requests that were carried out and not answered. Nothing is lost, doubled or reordered.
func TestDyingConnections(t *testing.T) {
	t.Parallel()
	onEachLogAndVersion(t, func(t *testing.T, cfg Config) {
		u := &unreliable{dial: cfg.Dial}
		reliable := connect(t, cfg)
		cfg.Dial = u.Dial
		c := connect(t, cfg)
		topic := createTopic(t, reliable, 2)
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id"), BatchBytes: 2_000})
		f := newFetcher(t, c, FetcherConfig{MaxPartitionBytes: 5_000})
		tps := []TopicPartition{{Topic: topic, Partition: 0}, {Topic: topic, Partition: 1}}
		for _, tp := range tps {
			f.Add(tp, 0)
		}
		u.limit.Store(20_000)
		want := make(map[TopicPartition][]string)
		for i := range 20 {
			for j := range 20 {
				tp := tps[(i+j)%2]
				v := fmt.Sprintf("%d/%d %s", i, j, make([]byte, 500))
				send(t, p, tp, v)
				if i%4 != 3 {
					want[tp] = append(want[tp], v)
				}
			}
			flush(t, p)
			end(t, p, i%4 != 3)
		}
		got := make(map[TopicPartition][]string)
		for len(got[tps[0]]) < len(want[tps[0]]) || len(got[tps[1]]) < len(want[tps[1]]) {
			what := fmt.Sprintf("records (%d of %d and %d of %d are there)", len(got[tps[0]]), len(want[tps[0]]), len(got[tps[1]]), len(want[tps[1]]))
			n := next(t, f, what, func(n *Fetched) bool { return n.Batch != nil || n.Err != nil })
			if n.Err != nil {
				t.Fatal(n.Err)
			}
			got[n.TopicPartition] = append(got[n.TopicPartition], drainBatch(t, &n)...)
		}
		for _, tp := range tps {
			if !slices.Equal(got[tp], want[tp]) {
				t.Errorf("%v: %d values read, %d written, or another order", tp, len(got[tp]), len(want[tp]))
			}
		}
		t.Logf("%d connections died", u.cuts.Load())
		if u.cuts.Load() < 5 {
			t.Error("too few connections died for the test to mean something")
		}
	})
}

// A partition of which nothing is held is read though others have filled the buffer, a little at a time: they may wait for it.
func TestFullBufferStarvesNobody(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic := createTopic(t, c, 2)
		a, b := TopicPartition{Topic: topic, Partition: 0}, TopicPartition{Topic: topic, Partition: 1}
		p := newProducer(t, c, ProducerConfig{BatchBytes: 10_000})
		for range 100 {
			send(t, p, a, string(make([]byte, 9_000)))
			send(t, p, b, string(make([]byte, 9_000)))
		}
		flush(t, p)
		f := newFetcher(t, c, FetcherConfig{BufferBytes: 200_000})
		f.Add(a, 0)
		held := 0
		for held < 200_000 {
			got := next(t, f, "the first partition", func(n *Fetched) bool { return n.Batch != nil })
			held += got.Batch.Bytes() // for ever
		}
		f.Add(b, 0)
		for end := int64(0); end < 100; {
			got := next(t, f, "the second partition", func(n *Fetched) bool { return n.TopicPartition == b && n.Batch != nil })
			if got.Batch.Bytes() > minShare {
				t.Errorf("%d bytes are given beyond a full buffer", got.Batch.Bytes())
			}
			end = got.Batch.End()
			got.Batch.Release()
		}
	})
}
