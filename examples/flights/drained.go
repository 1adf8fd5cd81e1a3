package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// drained reports whether a consumer group has processed all that its topics hold. topics are in topological order: each
// is fed by the ones before it alone, and the first by a loading that has ended.
//
// Of each topic, from the first, every committed offset must equal the last stable offset, so that nothing is left to read, and
// the last stable offset must equal the end, so that no transaction is still being decided. Then nothing more can come into
// the topics after it: the offsets that were just seen were committed in the same transactions as what was made of the
// records. The second condition is not a formality: the markers of one transaction reach its partitions one after the
// other, and the one that commits the offsets may well be the first.
//
// results are written by the group and not read by it: the second condition alone applies.
func drained(ctx context.Context, adm *kadm.Client, group string, topics, results []string) (bool, error) {
	for _, topic := range topics {
		// The offset is asked for first: a commit in between makes the topic look less drained than it is, never more.
		committed, err := adm.FetchOffsets(ctx, group)
		if err != nil {
			return false, fmt.Errorf("committed offsets of group %s: %w", group, err)
		}
		ends, settled, err := settledEnds(ctx, adm, topic)
		if err != nil || !settled {
			return false, err
		}
		for partition, end := range ends {
			o, ok := committed.Lookup(topic, partition)
			if ok && o.Err != nil {
				return false, fmt.Errorf("committed offset of %s-%d: %w", topic, partition, o.Err)
			}
			if behind := end > 0 && (!ok || o.At < end); behind {
				return false, nil
			}
		}
	}
	for _, topic := range results {
		if _, settled, err := settledEnds(ctx, adm, topic); err != nil || !settled {
			return false, err
		}
	}
	return true, nil
}

// settledEnds returns the end of each partition of a topic; settled is false if a transaction is open on one of them.
func settledEnds(ctx context.Context, adm *kadm.Client, topic string) (ends map[int32]int64, settled bool, err error) {
	high, err := listed(adm.ListEndOffsets(ctx, topic))
	if err != nil {
		return nil, false, fmt.Errorf("end of topic %s: %w", topic, err)
	}
	stable, err := listed(adm.ListCommittedOffsets(ctx, topic))
	if err != nil {
		return nil, false, fmt.Errorf("last stable offset of topic %s: %w", topic, err)
	}
	ends = make(map[int32]int64)
	for partition, o := range stable[topic] {
		if h, ok := high.Lookup(topic, partition); !ok || h.Offset > o.Offset {
			return nil, false, nil
		}
		ends[partition] = o.Offset
	}
	return ends, len(ends) > 0, nil
}

func listed(offsets kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err != nil {
		return nil, err
	}
	return offsets, offsets.Error()
}
