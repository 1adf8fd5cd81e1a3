package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readTable reads a topic as the table that it holds: the last value of every key, committed transactions only, up to the
// end that it has at the time of the call.
func readTable(ctx context.Context, connect []kgo.Opt, topic string) (map[string][]byte, error) {
	table, err := scanTable(ctx, connect, topic)
	if err != nil {
		return nil, fmt.Errorf("read topic %s: %w", topic, err)
	}
	return table, nil
}

func scanTable(ctx context.Context, connect []kgo.Opt, topic string) (map[string][]byte, error) {
	cl, err := kgo.NewClient(append(slices.Clone(connect),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // a partition may end with a marker, which says that it has been read to the end
	)...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ends, err := startReading(ctx, cl, topic)
	if err != nil {
		return nil, err
	}
	table := make(map[string][]byte)
	for len(ends) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, reading := ends[r.Partition]
			if !reading || r.Offset >= end {
				return // written since
			}
			switch {
			case r.Attrs.IsControl():
			case r.Value == nil:
				delete(table, string(r.Key))
			default:
				table[string(r.Key)] = r.Value
			}
			if r.Offset == end-1 {
				delete(ends, r.Partition)
			}
		})
	}
	return table, nil
}

// startReading makes cl read every partition of a topic from its start, and returns where the reading ends: the last stable
// offset, before which every transaction has been decided. Empty partitions are left out.
func startReading(ctx context.Context, cl *kgo.Client, topic string) (ends map[int32]int64, err error) {
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, err
	}
	stable, err := adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = stable.Error()
	}
	if err != nil {
		return nil, err
	}
	ends = make(map[int32]int64)
	from := make(map[int32]kgo.Offset)
	stable.Each(func(o kadm.ListedOffset) {
		if start, ok := starts.Lookup(topic, o.Partition); ok && start.Offset < o.Offset {
			ends[o.Partition] = o.Offset
			from[o.Partition] = kgo.NewOffset().At(start.Offset)
		}
	})
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	return ends, nil
}
