package runtime

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/topology"
)

// Settings of topics that say what a log deletes.
const (
	cleanupPolicy  = "cleanup.policy"
	retentionMs    = "retention.ms"
	retentionBytes = "retention.bytes"
	compactionLag  = "min.compaction.lag.ms"
)

// checkSettings says of which internal topics the log deletes what is still needed. Those that are created here are as they should be
// but somebody may have made them before, or altered them. An instance says it once, when it leads.
func (p *plan) checkSettings(ctx context.Context, topics []topology.InternalTopic) {
	if p.settled || len(topics) == 0 {
		return
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	have, err := p.client.TopicConfigs(ctx, names, cleanupPolicy, retentionMs, retentionBytes, compactionLag)
	if err != nil {
		p.cfg.Logger.Warn("settings of internal topics cannot be looked up: whether the log keeps what is needed is not known", "err", err)
		return
	}
	p.settled = true
	for _, t := range topics {
		for _, loss := range losses(t.Settings, have[t.Name]) {
			p.cfg.Logger.Warn("the log deletes records of an internal topic that are still needed: a store that is restored from it lacks them, or they "+
				"are never processed. Alter the setting, or the store's topic settings if it is meant so", "topic", t.Name, "why", loss)
		}
	}
}

// losses says how a topic loses what it should keep.
func losses(want, have map[string]string) (why []string) {
	compact, remove := policies(have[cleanupPolicy])
	wantCompact, wantRemove := policies(want[cleanupPolicy])
	if compact && !wantCompact {
		why = append(why, fmt.Sprintf("%s is %s, which leaves one record of each key; want %s", cleanupPolicy, have[cleanupPolicy], want[cleanupPolicy]))
	}
	if compact && wantCompact && below(have[compactionLag], want[compactionLag], 0) {
		why = append(why, fmt.Sprintf("%s is %s, want %s", compactionLag, have[compactionLag], want[compactionLag]))
	}
	if !remove {
		return why
	}
	atLeast := map[string]string{retentionMs: want[retentionMs], retentionBytes: want[retentionBytes]}
	if !wantRemove {
		atLeast[retentionMs] = forever
	}
	for _, name := range []string{retentionMs, retentionBytes} {
		if atLeast[name] == "" && name == retentionBytes {
			atLeast[name] = forever // that of the log is not for internal topics
		}
		if below(have[name], atLeast[name], infinite) {
			why = append(why, fmt.Sprintf("%s is %s and %s %s, want %s and %s", cleanupPolicy, have[cleanupPolicy], name, have[name],
				want[cleanupPolicy], atLeast[name]))
		}
	}
	return why
}

// policies takes a cleanup.policy apart.
func policies(setting string) (compact, remove bool) {
	for policy := range strings.SplitSeq(setting, ",") {
		compact = compact || strings.TrimSpace(policy) == "compact"
		remove = remove || strings.TrimSpace(policy) == "delete"
	}
	return compact, remove
}

// forever is a retention, and infinite how it is compared.
const (
	forever  = "-1"
	infinite = 1<<63 - 1
)

// below reports whether one setting is less than another, where both are known. A negative one stands for a number of its own.
func below(have, want string, negative int64) bool {
	h, err1 := strconv.ParseInt(have, 10, 64)
	w, err2 := strconv.ParseInt(want, 10, 64)
	if err1 != nil || err2 != nil {
		return false
	}
	if h < 0 {
		h = negative
	}
	if w < 0 {
		w = negative
	}
	return h < w
}
