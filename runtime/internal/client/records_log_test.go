package client

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestDeleteRecords(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic := createTopic(t, c, 2)
		p := newProducer(t, c, ProducerConfig{})
		zero, one := TopicPartition{Topic: topic, Partition: 0}, TopicPartition{Topic: topic, Partition: 1}
		send(t, p, zero, "a", "b", "c")
		send(t, p, one, "a", "b", "c")
		flush(t, p)
		ctx := testContext(t)
		starts, err := c.DeleteRecords(ctx, map[TopicPartition]int64{zero: 2, one: 3})
		if err != nil || starts[zero] != 2 || starts[one] != 3 {
			t.Errorf("%v, %v", starts, err)
		}
		found, err := c.ListOffsets(ctx, LogStart, []TopicPartition{zero, one})
		if err != nil || found[zero] != 2 || found[one] != 3 {
			t.Errorf("log starts %v, %v", found, err)
		}
		starts, err = c.DeleteRecords(ctx, map[TopicPartition]int64{zero: 1, one: 4})
		if !errors.Is(err, kerr.OffsetOutOfRange) || ClassOf(err) == ClassRetry || starts[zero] != 2 {
			t.Errorf("above the end: %v, %v", starts, err)
		}
		purger := NewPurger(c, time.Minute)
		purger.Committed(zero, 3)
		purger.Committed(zero, 2)
		if err := purger.Purge(ctx); err != nil {
			t.Error(err)
		}
		if found, err := c.ListOffsets(ctx, LogStart, []TopicPartition{zero}); err != nil || found[zero] != 3 {
			t.Errorf("after purging: %v, %v", found, err)
		}
		purger.c = connect(t, cfg)
		purger.c.Close() // nothing can be asked for
		if err := purger.Purge(ctx); err != nil {
			t.Errorf("what is purged is purged again: %v", err)
		}
	})
}

func TestCreatePartitions(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		topic := createTopic(t, c, 1)
		ctx := testContext(t)
		for range 2 { // the second time there is nothing to do
			if err := c.CreatePartitions(ctx, topic, 3); err != nil {
				t.Fatal(err)
			}
		}
		if found, err := c.Topics(ctx, topic); err != nil || len(found[topic].Partitions) != 3 {
			t.Errorf("%v, %v", found, err)
		}
		if _, ok := errors.AsType[*PartitionCountError](c.CreatePartitions(ctx, topic, 2)); !ok {
			t.Error("a topic was made smaller")
		}
		if err := c.CreatePartitions(ctx, unique("nowhere"), 2); ClassOf(err) != ClassFatal {
			t.Errorf("an unknown topic: %v", err)
		}
	})
}

// What is remembered of topics is renewed when it is asked for, but of the application's own; what the log does not tell of stays as it was,
// until all topics are listed.
func TestRenew(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		ctx := testContext(t)
		c, other := connect(t, cfg), connect(t, cfg)
		grown, own, gone, unknown := createTopic(t, other, 1), createTopic(t, other, 1), createTopic(t, other, 1), createTopic(t, other, 1)
		counts := func(want ...int) {
			t.Helper()
			c.mu.Lock()
			defer c.mu.Unlock()
			for i, topic := range []string{grown, own, gone, unknown} {
				have := -1
				if topic, ok := c.mu.topics[topic]; ok {
					have = len(topic.Partitions)
				}
				if have != want[i] {
					t.Errorf("topic %d has %d partitions, want %d", i, have, want[i])
				}
			}
		}
		ofOwn := func(topic string) bool { return topic == own }
		if err := c.Renew(ctx, ofOwn); err != nil {
			t.Errorf("nothing is remembered: %v", err)
		}
		if _, err := c.Topics(ctx, grown, own, gone); err != nil {
			t.Fatal(err)
		}
		counts(1, 1, 1, -1)
		for _, topic := range []string{grown, own} {
			if err := other.CreatePartitions(ctx, topic, 3); err != nil {
				t.Fatal(err)
			}
		}
		deleteTopic(t, other, gone)
		if err := c.Renew(ctx, ofOwn); err != nil {
			t.Fatal(err)
		}
		counts(3, 1, 1, -1)
		if _, err := c.AllTopics(ctx); err != nil {
			t.Fatal(err)
		}
		counts(3, 3, -1, -1)
	})
}
