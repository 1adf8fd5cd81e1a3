package client

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A topic may be missing for half a minute, which begins when the log says so: not with an outage before, nor while it says something else.
func TestMissingTopics(t *testing.T) {
	t.Parallel()
	const most = missingTimeout + 2*maxBackoff
	missing, cut := kerr.UnknownTopicOrPartition, errors.New("cut off")
	for name, c := range map[string]struct {
		said  func(at time.Duration) error
		class Class
		at    time.Duration // the end, at most
	}{
		"for good": {func(time.Duration) error { return missing }, ClassFatal, most},
		"after an outage": {func(at time.Duration) error {
			switch {
			case at < time.Minute:
				return cut
			case at < time.Minute+missingTimeout/2:
				return missing
			}
			return nil
		}, ClassNone, time.Minute + missingTimeout/2 + maxBackoff},
		"before and after an outage": {func(at time.Duration) error {
			switch {
			case at < missingTimeout/2, at > time.Minute && at < time.Minute+missingTimeout/2:
				return missing
			case at <= time.Minute:
				return cut
			}
			return nil
		}, ClassNone, time.Minute + missingTimeout/2 + maxBackoff},
	} {
		t.Run("retry, "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				err := retry(t.Context(), func() error { return c.said(time.Since(start)) })
				if at := time.Since(start); ClassOf(err) != c.class || at > c.at {
					t.Errorf("%v, class %v, after %v; want class %v within %v", err, ClassOf(err), at, c.class, c.at)
				}
			})
		})
		t.Run("look for the leader, "+name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := bareFetcher(FetcherConfig{})
				d := &feed{tp: TopicPartition{Topic: "t"}, leader: PartitionLeader{noLeader, -1}, replica: noLeader}
				for start := time.Now(); !d.ended && d.leader.Leader == noLeader; time.Sleep(maxBackoff) {
					if time.Since(start) > c.at+maxBackoff {
						t.Fatalf("not ended after %v", time.Since(start))
					}
					switch err := c.said(time.Since(start)); {
					case errors.Is(err, missing):
						f.leadLocked(d, nil)
					case errors.Is(err, cut): // some brokers are back before the leader is
						f.leadLocked(d, map[string]Topic{"t": {Partitions: []PartitionLeader{{noLeader, -1}}}})
					default:
						f.leadLocked(d, map[string]Topic{"t": {Partitions: []PartitionLeader{{1, 0}}}})
					}
				}
				got := f.Take(nil)
				if ended := len(got) == 1 && ClassOf(got[0].Err) == ClassFatal; ended != (c.class == ClassFatal) {
					t.Errorf("news %+v; want class %v", got, c.class)
				}
			})
		})
	}
}

// bareFetcher returns a Fetcher that has no log.
func bareFetcher(cfg FetcherConfig) *Fetcher {
	cfg.setDefaults()
	return &Fetcher{c: &Client{log: slog.New(slog.DiscardHandler)}, cfg: cfg, ready: make(chan struct{}, 1), replicaAge: replicaAge, sayAgain: sayAgain}
}
