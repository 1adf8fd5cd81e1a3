package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// names are all that the example calls by name in a log. A prefix keeps two of them apart in one log; tests use it.
type names struct {
	app    string // application id: consumer group, and prefix of internal topics and transactional ids
	loader string // transactional id of the loading

	flights, airports, enriched string
	delays, routes              string // results
	loading                     string // how far the loading has come
}

func namesWith(prefix string) names {
	return names{
		app:      prefix + "flights",
		loader:   prefix + "flights-loader",
		flights:  prefix + "flights",
		airports: prefix + "airports",
		enriched: prefix + "flights-enriched",
		delays:   prefix + "delays-by-city-hour",
		routes:   prefix + "routes",
		loading:  prefix + "flights-loading",
	}
}

// Settings of the topics. Event times lie in 2001, and a log deletes by the time that its records bear: streams are
// therefore kept for ever, and tables are compacted and never deleted by time.
// And in somebody's -data they may lie in the future, which Kafka by default refuses.
var (
	keepForEver = map[string]string{"retention.ms": "-1", "retention.bytes": "-1", anyTime: maxInt64}
	compacted   = map[string]string{"cleanup.policy": "compact", anyTime: maxInt64}
)

const (
	anyTime  = "message.timestamp.after.max.ms"
	maxInt64 = "9223372036854775807"
)

// topicSpec is one topic that the example creates.
type topicSpec struct {
	name       string
	partitions int32
	settings   map[string]string
}

func (n names) specs(partitions int32) []topicSpec {
	return []topicSpec{
		{n.airports, 1, compacted},
		{n.loading, 1, compacted}, // one partition: its records are in order
		{n.flights, partitions, keepForEver},
		{n.enriched, partitions, keepForEver},
		{n.delays, partitions, compacted},
		{n.routes, partitions, compacted},
	}
}

// createTopics creates the topics that are not there yet. What is there stays; if the user asked for another number of
// partitions than flights has, that is an error, since it cannot be changed without moving keys.
func createTopics(ctx context.Context, adm *kadm.Client, n names, partitions int32, asked bool) error {
	for _, s := range n.specs(partitions) {
		settings := make(map[string]*string, len(s.settings))
		for k, v := range s.settings {
			settings[k] = &v
		}
		const replication = -1 // as the log has it by default
		r, err := adm.CreateTopic(ctx, s.partitions, replication, settings, s.name)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			continue
		}
		if err != nil {
			return fmt.Errorf("create topic %s: %w %s", s.name, err, r.ErrMessage)
		}
	}
	topics, err := awaitTopics(ctx, adm, n.specs(partitions))
	if err != nil {
		return err
	}
	if got := len(topics[n.flights].Partitions); asked && got != int(partitions) {
		return fmt.Errorf("topic %s has %d partitions, not %d: leave -partitions out, or start anew with another log", n.flights, got, partitions)
	}
	return nil
}

// topicPoll is how often awaitTopics asks.
const topicPoll = 20 * time.Millisecond

// awaitTopics returns when the log knows all the topics: on a cluster a moment after it has created them.
func awaitTopics(ctx context.Context, adm *kadm.Client, specs []topicSpec) (kadm.TopicDetails, error) {
	list := make([]string, len(specs))
	for i, s := range specs {
		list[i] = s.name
	}
	tick := time.NewTicker(topicPoll)
	defer tick.Stop()
	for {
		topics, err := adm.ListTopics(ctx, list...)
		if err == nil {
			err = topics.Error()
		}
		if err == nil {
			return topics, nil
		}
		if ctx.Err() == nil && !errors.Is(err, kerr.UnknownTopicOrPartition) && !errors.Is(err, kerr.LeaderNotAvailable) {
			return nil, fmt.Errorf("look up the topics: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("look up the topics: %w", err)
		case <-tick.C:
		}
	}
}
