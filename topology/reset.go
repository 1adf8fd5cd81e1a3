package topology

import (
	"fmt"
	"slices"
	"time"
)

// OffsetReset says where a source begins to read a partition of which the group has no committed offset (Kafka Streams' AutoOffsetReset,
// KIP-1106). The zero value is Earliest. It says nothing about a partition of which there is one: what was deleted below it is an error.
//
// Where a source has begun is committed with the next commit, though nothing was read, so that an application that is stopped and started
// goes on from there. A partition that a topic gains later begins in the same way.
type OffsetReset struct {
	kind resetKind
	ago  time.Duration
}

type resetKind uint8

const (
	resetEarliest resetKind = iota
	resetLatest
	resetAgo
	resetNone
)

// Earliest begins at the log's start: nothing that is there is left out.
func Earliest() OffsetReset { return OffsetReset{} }

// Latest begins at the log's end: with what is committed from then on.
func Latest() OffsetReset { return OffsetReset{kind: resetLatest} }

// Ago begins at the first record whose time, in the log, is at most so long ago; at the log's end if there is none (by_duration).
func Ago(d time.Duration) OffsetReset { return OffsetReset{kind: resetAgo, ago: d} }

// NoReset does not begin: it is an error for which the application stops. Somebody is to commit the offsets of the group first.
func NoReset() OffsetReset { return OffsetReset{kind: resetNone} }

// String returns Kafka's name of it.
func (r OffsetReset) String() string {
	switch r.kind {
	case resetLatest:
		return "latest"
	case resetAgo:
		return fmt.Sprintf("by_duration:%v", r.ago)
	case resetNone:
		return "none"
	}
	return "earliest"
}

// Since returns the time from which records are read, given the time now, if r is Ago.
func (r OffsetReset) Since(now time.Time) (since time.Time, ok bool) {
	return now.Add(-r.ago), r.kind == resetAgo
}

// WithOffsetReset makes a source begin where r says.
func WithOffsetReset[K, V any](r OffsetReset) SourceOption[K, V] {
	return func(s *source[K, V]) { s.reset = r }
}

// OffsetReset returns where the source of a topic begins. The topic is named as the source names it.
func (t *Topology) OffsetReset(topic string) OffsetReset {
	for _, n := range t.Nodes {
		if n.Kind == KindSource && slices.Contains(n.Topics, topic) {
			return n.Reset
		}
	}
	return Earliest()
}

// reset reports what is wrong with where a source begins.
func (v *validation) reset(n *Node) {
	if n.Reset == Earliest() {
		return
	}
	if n.Reset.ago < 0 {
		v.of(n, "source %s begins at records of %v ago, which is in the future", n.Name, n.Reset.ago)
	}
	for _, topic := range n.Topics {
		if v.t.IsRepartition(topic) {
			v.of(n, "source %s reads a repartition topic, of which nothing is to be left out: its offset reset is %v, want %v", n.Name, n.Reset, Earliest())
		}
		for _, s := range v.t.Stores {
			if s.SourceTopic == topic {
				v.of(n, "source %s: store %s is restored from all of topic %s, so that it must be read from its start: its offset reset is %v, want %v",
					n.Name, s.Name, topic, n.Reset, Earliest())
			}
		}
	}
}
