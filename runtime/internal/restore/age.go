package restore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/state"
)

// age is for how long a changelog shows a delete, once it has been compacted (delete.retention.ms): a store that has been behind for longer may have
// missed one, and would hold its key for ever. 0: deletes are not compacted.
type age time.Duration

// defaultAge is Kafka's, for logs that do not tell.
const defaultAge = age(24 * time.Hour)

// agesOf asks for how long changelogs show deletes.
func agesOf(ctx context.Context, log Log, topics []string, say func(msg string, args ...any)) map[string]age {
	ages := make(map[string]age, len(topics))
	if len(topics) == 0 {
		return ages
	}
	told, err := log.TombstoneRetention(ctx, topics)
	if err != nil {
		say("settings of changelogs cannot be looked up; their deletes are taken to stay for a day", "err", err)
	}
	for _, topic := range topics {
		ages[topic] = age(told[topic])
		if err != nil {
			ages[topic] = defaultAge
		}
	}
	return ages
}

// behind returns the changelogs that are going to be read.
func behind(tasks []Task, ends map[client.TopicPartition]int64) (topics []string) {
	seen := make(map[string]bool)
	for i := range tasks {
		for _, s := range tasks[i].Stores {
			have, known := s.State.Position()
			if s.Row == nil && !seen[s.Changelog.Topic] && (!known || have.Next < ends[s.Changelog]) {
				seen[s.Changelog.Topic] = true
				topics = append(topics, s.Changelog.Topic)
			}
		}
	}
	return topics
}

// misses reports whether a changelog holds, or held, what a store at a position has not seen. Behind the last change that a task has made comes
// the marker of its transaction, which is nothing to miss.
func misses(have state.Position, log bounds, exactlyOnce bool) bool {
	if exactlyOnce {
		have.Next++
	}
	return have.Next < log.end
}

// judge has a store made anew that has been behind for too long: half of the time, since reading takes some too.
func (a age) judge(have state.Position, now time.Time) (v verdict, why string) {
	if a == 0 {
		return trust, ""
	}
	if have.AsOf == 0 {
		return rebuild, "it is not known since when it has been behind: a delete may have been compacted away"
	}
	if behind := now.Sub(time.UnixMilli(have.AsOf)); behind > time.Duration(a)/2 {
		return rebuild, fmt.Sprintf("it has been behind for %v, and the changelog keeps deletes for %v (delete.retention.ms): one may have been compacted away",
			behind.Round(time.Second), time.Duration(a))
	}
	return trust, ""
}

// leastAge is for how long a store may be read in any case: deletes go in the second pass of compaction over them at the earliest, and passes over
// what is hardly filled are further apart.
const leastAge = age(10 * time.Second)

// inTime returns an error if reading has taken so long that a delete may have been compacted away meanwhile. The store is emptied, so that nobody takes
// it for complete.
func (c *catchUp) inTime(now time.Time) error {
	have, _ := c.store.State.Position()
	took := now.Sub(time.UnixMilli(have.AsOf))
	if c.age == 0 || took <= time.Duration(max(c.age, leastAge)) {
		return nil
	}
	have.Next, have.AsOf = c.start, now.UnixMilli()
	return errors.Join(c.store.State.Reset(have), fmt.Errorf("the store has been behind for %v, and the changelog keeps deletes for %v: one may have been "+
		"compacted away, and it is read anew. Set delete.retention.ms of %s to more than what a restore takes",
		took.Round(time.Second), time.Duration(c.age), c.store.Changelog.Topic))
}

// silence is after what a copy that nothing comes for has heard so: the fetcher says it every minute.
const silence = age(2 * time.Minute)

// inTime reports whether a copy has been behind for no longer than it may when records come for it. How long it has kept up counts as well: one that was
// cut off hears nothing, and may get all that is left of what it has missed at once.
func (c *kept) inTime(got *client.Fetched, now time.Time) bool {
	longest := max(c.age/2, leastAge)
	if got.Lag == 0 {
		longest = max(longest, silence)
	}
	have, _ := c.store.State.Position()
	return c.age == 0 || now.Sub(time.UnixMilli(have.AsOf)) <= time.Duration(longest)
}

// complete notes when a copy has all that is committed.
func (c *kept) complete(got *client.Fetched, now time.Time) {
	if got.Lag == 0 {
		c.store.State.CompleteAsOf(now.UnixMilli())
	}
}

// complete notes when the store had all of its changelog.
func (c *catchUp) complete() {
	if c.store.Row == nil {
		c.store.State.CompleteAsOf(c.looked.UnixMilli())
	}
}
