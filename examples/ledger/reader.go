package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readLog reads everything that the topics hold up to their ends, control records and aborted ones included.
func readLog(ctx context.Context, brokers []string, topics []string) (map[string][][]record, error) {
	log := make(map[string][][]record)
	err := readAll(ctx, brokers, topics, kgo.ReadUncommitted(), func(topic string, partitions int) {
		log[topic] = make([][]record, partitions)
	}, func(r *kgo.Record) {
		x := record{
			Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value, ID: idOf(r),
			Producer: r.ProducerID, Epoch: r.ProducerEpoch, InTxn: r.Attrs.IsTransactional(), Control: r.Attrs.IsControl(),
		}
		x.Commit = x.Control && isCommit(r.Key)
		log[r.Topic][r.Partition] = append(log[r.Topic][r.Partition], x)
	})
	return log, err
}

// readCommitted reads what a reader of committed data gets.
func readCommitted(ctx context.Context, brokers []string, topics []string) (map[string][][]glimpse, error) {
	seen := make(map[string][][]glimpse)
	err := readAll(ctx, brokers, topics, kgo.ReadCommitted(), func(topic string, partitions int) {
		seen[topic] = make([][]glimpse, partitions)
	}, func(r *kgo.Record) { addGlimpse(seen, r) })
	return seen, err
}

func addGlimpse(seen map[string][][]glimpse, r *kgo.Record) {
	if !r.Attrs.IsControl() {
		p := &seen[r.Topic][r.Partition]
		*p = append(*p, glimpse{r.Offset, digestOf(r.Key, r.Value)})
	}
}

// isCommit reads the key of a control record: a version and a type, of which 1 is a commit.
func isCommit(key []byte) bool { return len(key) >= 4 && key[2] == 0 && key[3] == 1 }

func idOf(r *kgo.Record) string {
	for _, h := range r.Headers {
		if h.Key == idHeader {
			return string(h.Value)
		}
	}
	return ""
}

// readAll reads topics from their starts to the ends that they have now. begin is told of each topic first.
func readAll(
	ctx context.Context, brokers []string, topics []string, isolation kgo.IsolationLevel,
	begin func(topic string, partitions int), take func(*kgo.Record),
) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.FetchIsolationLevel(isolation), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return err
	}
	defer cl.Close()
	ends, err := highWatermarks(ctx, kadm.NewClient(cl), topics)
	if err != nil {
		return err
	}
	left := make(map[string]map[int32]int64)
	from := make(map[string]map[int32]kgo.Offset)
	for topic, partitions := range ends {
		begin(topic, len(partitions))
		left[topic], from[topic] = make(map[int32]int64), make(map[int32]kgo.Offset)
		for p, end := range partitions {
			if end > 0 {
				left[topic][int32(p)], from[topic][int32(p)] = end, kgo.NewOffset().At(0)
			}
		}
	}
	cl.AddConsumePartitions(from)
	for open := countOpen(left); open > 0; open = countOpen(left) {
		fetches := cl.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return fmt.Errorf("read the log, %d partitions are not at their ends: %w", open, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			take(r)
			if end, ok := left[r.Topic][r.Partition]; ok && r.Offset >= end-1 {
				delete(left[r.Topic], r.Partition)
			}
		})
	}
	return nil
}

func countOpen(left map[string]map[int32]int64) (n int) {
	for _, partitions := range left {
		n += len(partitions)
	}
	return n
}

// observer reads committed data from the beginning of the run, along with the writers. It runs until closed.
type observer struct {
	client *kgo.Client
	done   sync.WaitGroup
	cancel context.CancelFunc
	mu     struct {
		sync.Mutex
		seen map[string][][]glimpse
		next map[string][]int64 // offset after the last record, of whatever kind, by partition
	}
}

// observe begins to read topics that are empty.
func observe(ctx context.Context, brokers []string, partitions map[string]int) (*observer, error) {
	from := make(map[string]map[int32]kgo.Offset)
	o := &observer{}
	o.mu.seen, o.mu.next = make(map[string][][]glimpse), make(map[string][]int64)
	for topic, n := range partitions {
		from[topic] = make(map[int32]kgo.Offset)
		o.mu.seen[topic], o.mu.next[topic] = make([][]glimpse, n), make([]int64, n)
		for p := range n {
			from[topic][int32(p)] = kgo.NewOffset().At(0)
		}
	}
	var err error
	o.client, err = kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.ConsumePartitions(from))
	if err != nil {
		return nil, err
	}
	ctx, o.cancel = context.WithCancel(ctx)
	o.done.Go(func() { o.run(ctx) })
	return o, nil
}

func (o *observer) run(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := o.client.PollFetches(ctx) // errors are those of a broker that is away: the client goes on by itself
		o.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			addGlimpse(o.mu.seen, r)
			o.mu.next[r.Topic][r.Partition] = r.Offset + 1
		})
		o.mu.Unlock()
	}
}

// caughtUp reports whether everything below ends has been read.
func (o *observer) caughtUp(ends map[string][]int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for topic, next := range o.mu.next {
		for p := range next {
			if next[p] < ends[topic][p] {
				return false
			}
		}
	}
	return true
}

// close ends the reading and returns what was seen.
func (o *observer) close() map[string][][]glimpse {
	o.cancel()
	o.done.Wait()
	o.client.Close()
	return o.mu.seen
}

// highWatermarks returns the ends of the topics by partition.
func highWatermarks(ctx context.Context, adm *kadm.Client, topics []string) (map[string][]int64, error) {
	l, err := adm.ListEndOffsets(ctx, topics...)
	return byPartition(l, err, topics)
}

// lastStableOffsets returns the offsets up to which nothing is open.
func lastStableOffsets(ctx context.Context, adm *kadm.Client, topics []string) (map[string][]int64, error) {
	l, err := adm.ListCommittedOffsets(ctx, topics...)
	return byPartition(l, err, topics)
}

func byPartition(l kadm.ListedOffsets, err error, topics []string) (map[string][]int64, error) {
	if err == nil {
		err = l.Error()
	}
	if err != nil {
		return nil, err
	}
	ends := make(map[string][]int64)
	for _, topic := range topics {
		ends[topic] = make([]int64, len(l[topic]))
		for p, o := range l[topic] {
			if int(p) >= len(ends[topic]) {
				return nil, fmt.Errorf("the log lists partition %d of the %d of %s", p, len(l[topic]), topic)
			}
			ends[topic][p] = o.Offset
		}
	}
	return ends, nil
}

// groupOffsets returns where a group stands on topics.
func groupOffsets(ctx context.Context, adm *kadm.Client, group string, partitions map[string][]int64, topics ...string) (map[string][]int64, error) {
	r, err := adm.FetchOffsets(ctx, group)
	if err == nil {
		err = r.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	offsets := make(map[string][]int64)
	for _, topic := range topics {
		offsets[topic] = slices.Repeat([]int64{0}, len(partitions[topic]))
		for p := range offsets[topic] {
			if o, ok := r.Lookup(topic, int32(p)); ok {
				offsets[topic][p] = o.At
			}
		}
	}
	return offsets, nil
}
