package client

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/topology"
)

// read fetches tp from the offset until at least n values are there and the log has no more, and returns the values.
func read(t *testing.T, c *Client, cfg FetcherConfig, tp TopicPartition, from int64, n int) []string {
	t.Helper()
	f := newFetcher(t, c, cfg)
	defer f.Close()
	f.Add(tp, from)
	var values []string
	timeout := time.After(20 * time.Second)
	for {
		select {
		case <-f.Ready():
		case <-timeout:
			t.Fatalf("%v: %d of %d values after 20 s: %v", tp, len(values), n, values)
		}
		for _, got := range f.Take(nil) {
			if got.Err != nil {
				t.Fatal(got.Err)
			}
			values = append(values, drainBatch(t, &got)...)
			if got.Lag == 0 && len(values) >= n {
				return values
			}
		}
	}
}

// drainBatch reads a batch to its end and releases it.
func drainBatch(t *testing.T, got *Fetched) (values []string) {
	t.Helper()
	if got.Batch == nil {
		return nil
	}
	defer got.Batch.Release()
	var raw topology.Raw
	for {
		ok, err := got.Batch.Next(&raw)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return values
		}
		values = append(values, string(raw.Value))
	}
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	onEachLogAndVersion(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic := createTopic(t, c, 2)
		a, b := TopicPartition{Topic: topic, Partition: 0}, TopicPartition{Topic: topic, Partition: 1}
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id")})
		for i := range 3 {
			send(t, p, a, fmt.Sprintf("a%d", i), "x")
			send(t, p, b, fmt.Sprintf("b%d", i))
			send(t, p, a, "second batch")
			flush(t, p)
			if !p.InTransaction() {
				t.Fatal("not in a transaction after Send")
			}
			end(t, p, true)
			if p.InTransaction() {
				t.Fatal("in a transaction after End")
			}
			if next, ok := p.Next(a); !ok || next != int64(4*i+3) { // 3 records and a marker each
				t.Fatalf("Next = %d, %v in round %d", next, ok, i)
			}
			send(t, p, b, "aborted")
			if _, ok := p.Next(a); ok {
				t.Fatal("Next speaks of the transaction before")
			}
			if i == 1 {
				flush(t, p)
			}
			end(t, p, false)
		}
		if got, want := read(t, c, FetcherConfig{}, a, 0, 9), []string{"a0", "x", "second batch", "a1", "x", "second batch", "a2", "x", "second batch"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if got, want := read(t, c, FetcherConfig{}, b, 0, 3), []string{"b0", "b1", "b2"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// A transaction that holds nothing but offsets has to be ended too: the library's own producer does not send its end.
func TestOffsetsOnlyTransaction(t *testing.T) {
	t.Parallel()
	onEachLogAndVersion(t, func(t *testing.T, cfg Config) {
		ctx := testContext(t)
		c := connect(t, cfg)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		group := unique("group")
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id")})
		want := map[TopicPartition]Committed{tp: {Offset: 7, LeaderEpoch: 0, Metadata: "AAAA"}}
		if got, err := c.CommittedOffsets(ctx, group, []TopicPartition{tp}); err != nil || len(got) != 0 {
			t.Fatalf("before: %v, %v", got, err)
		}
		alone := Identity{Group: group, Generation: -1} // no member: as a group without members allows
		if err := p.CommitOffsets(ctx, alone, want); err != nil {
			t.Fatal(err)
		}
		end(t, p, true)
		got, err := c.CommittedOffsets(ctx, group, []TopicPartition{tp})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
		if err := p.CommitOffsets(ctx, alone, map[TopicPartition]Committed{tp: {Offset: 9, LeaderEpoch: -1}}); err != nil {
			t.Fatal(err)
		}
		end(t, p, false)
		if got, err = c.CommittedOffsets(ctx, group, []TopicPartition{tp}); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("after an abort: %v, %v, want %v", got, err, want)
		}
		if err := p.CommitOffsets(ctx, Identity{Group: group, MemberID: "nobody", Generation: 3}, want); ClassOf(err) != ClassMemberLost && ClassOf(err) != ClassGeneration {
			t.Fatalf("as a member that does not exist: %v (%v)", err, ClassOf(err))
		}
		end(t, p, false)
		if err := c.CommitOffsets(ctx, alone, map[TopicPartition]Committed{tp: {Offset: 11, LeaderEpoch: -1}}); err != nil {
			t.Fatal(err)
		}
		if got, err = c.CommittedOffsets(ctx, group, []TopicPartition{tp}); err != nil || got[tp].Offset != 11 {
			t.Fatalf("without a transaction: %v, %v", got, err)
		}
	})
}

// While a transaction holds offsets, nobody may take the partition over: CommittedOffsets waits.
func TestStableOffsets(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		ctx := testContext(t)
		c := connect(t, cfg)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		group := unique("group")
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id")})
		if err := p.CommitOffsets(ctx, Identity{Group: group, Generation: -1}, map[TopicPartition]Committed{tp: {Offset: 7}}); err != nil {
			t.Fatal(err)
		}
		type result struct {
			offsets map[TopicPartition]Committed
			err     error
		}
		done := make(chan result, 1)
		go func() {
			offsets, err := c.CommittedOffsets(ctx, group, []TopicPartition{tp})
			done <- result{offsets, err}
		}()
		select {
		case r := <-done:
			t.Fatalf("got %v, %v while the transaction is open", r.offsets, r.err)
		case <-time.After(100 * time.Millisecond):
		}
		end(t, p, true)
		if r := <-done; r.err != nil || r.offsets[tp].Offset != 7 {
			t.Fatalf("got %v, %v", r.offsets, r.err)
		}
	})
}

func TestFencing(t *testing.T) {
	t.Parallel()
	onEachLogAndVersion(t, func(t *testing.T, cfg Config) {
		ctx := testContext(t)
		c := connect(t, cfg)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		id := unique("id")
		old := newProducer(t, c, ProducerConfig{TransactionalID: id})
		send(t, old, tp, "lost")
		flush(t, old)
		fresh := newProducer(t, c, ProducerConfig{TransactionalID: id}) // aborts the open transaction
		if err := old.End(ctx, true); ClassOf(err) != ClassFenced {
			t.Errorf("End of a fenced producer: %v (%v)", err, ClassOf(err))
		}
		if err := old.CommitOffsets(ctx, Identity{Group: unique("group"), Generation: -1}, map[TopicPartition]Committed{tp: {}}); ClassOf(err) != ClassFenced {
			t.Errorf("CommitOffsets of a fenced producer: %v (%v)", err, ClassOf(err))
		}
		send(t, old, tp, "zombie")
		if err := old.Flush(ctx); ClassOf(err) != ClassFenced {
			t.Errorf("Flush of a fenced producer: %v (%v)", err, ClassOf(err))
		}
		if err := old.Send(ctx, tp, old.Builder()); ClassOf(err) != ClassFenced {
			t.Errorf("the error does not stick: %v", err)
		}
		send(t, fresh, tp, "kept")
		flush(t, fresh)
		end(t, fresh, true)
		if err := old.Init(ctx); err != nil { // and now the other way round
			t.Fatal(err)
		}
		send(t, old, tp, "kept too")
		flush(t, old)
		end(t, old, true)
		if got, want := read(t, c, FetcherConfig{}, tp, 0, 2), []string{"kept", "kept too"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestIdempotentProducer(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic := createTopic(t, c, 3)
		p := newProducer(t, c, ProducerConfig{BatchBytes: 200, MaxBatchBytes: 1000, MaxRequestBytes: 500, MaxBufferedBytes: 2000})
		want := map[int32][]string{}
		for i := range 300 {
			tp := TopicPartition{Topic: topic, Partition: int32(i % 3)}
			v := fmt.Sprintf("value %d", i)
			send(t, p, tp, v)
			want[tp.Partition] = append(want[tp.Partition], v)
		}
		flush(t, p)
		if p.InTransaction() {
			t.Error("in a transaction without a transactional id")
		}
		for partition, values := range want {
			tp := TopicPartition{Topic: topic, Partition: partition}
			if got := read(t, c, FetcherConfig{ReadUncommitted: true}, tp, 0, len(values)); !slices.Equal(got, values) {
				t.Errorf("partition %d: got %v", partition, got)
			}
			if next, ok := p.Next(tp); !ok || next != 100 {
				t.Errorf("Next = %d, %v", next, ok)
			}
		}
	})
}
