package runtime

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
)

// watchTopics asks for a rebalance when a topic that the application reads has grown, or is gone: the leader then makes new tasks,
// or says why the application cannot go on. It ends with ctx.
func (in *instance) watchTopics(ctx context.Context) {
	var known topicCounts
	topics := in.topology.UserTopics()
	ticker := time.NewTicker(in.cfg.watchEvery)
	defer ticker.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, lookupTimeout)
		found, err := in.client.RefreshTopics(limited, topics...)
		cancel()
		var changes []string
		if err == nil {
			changes = known.update(topics, found)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			in.log.Warn("source topics cannot be looked up; they are looked up again", "in", in.cfg.watchEvery, "err", err)
		case len(changes) > 0:
			in.log.Warn("source topics have changed", "changes", strings.Join(changes, "; "))
			in.member.Rejoin("source topics have changed")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// topicCounts are the partition counts of topics as of the last look-up that was answered; nil before the first.
type topicCounts map[string]int

// update takes over what was found and says what has changed since the last time: nothing the first time.
func (c *topicCounts) update(topics []string, found map[string]client.Topic) (changes []string) {
	now := make(topicCounts, len(topics))
	for _, name := range topics {
		now[name] = len(found[name].Partitions)
		if had := (*c)[name]; *c != nil && now[name] != had {
			changes = append(changes, fmt.Sprintf("topic %s has %d partitions, and had %d", name, now[name], had))
		}
	}
	*c = now
	return changes
}
