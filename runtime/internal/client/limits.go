package client

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const maxMessageBytes = "max.message.bytes"

// MaxMessageBytes returns the size of the largest record batch that a topic takes (max.message.bytes), as the log says now.
func (c *Client) MaxMessageBytes(ctx context.Context, topic string) (int, error) {
	found, err := c.TopicConfigs(ctx, []string{topic}, maxMessageBytes)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(found[topic][maxMessageBytes])
	if err != nil {
		err = withClass(fmt.Errorf("%s of topic %q: %w", maxMessageBytes, topic, err), ClassFatal)
	}
	return n, err
}

// TopicConfigs returns what the log says now of some settings of topics, by topic and by name of the setting. All topics must exist; a
// setting that the log does not know, or has no value of, is left out.
func (c *Client) TopicConfigs(ctx context.Context, topics []string, settings ...string) (map[string]map[string]string, error) {
	var found map[string]map[string]string
	err := retry(ctx, func() (err error) {
		found, err = c.topicConfigs(ctx, topics, settings)
		return err
	})
	return found, doing(err, "look up settings %q", settings)
}

func (c *Client) topicConfigs(ctx context.Context, topics, settings []string) (map[string]map[string]string, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, topic := range topics {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, settings
		req.Resources = append(req.Resources, r)
	}
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return nil, answered(err, 0)
	}
	found := make(map[string]map[string]string, len(topics))
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return nil, doing(err, "topic %q", r.ResourceName)
		}
		found[r.ResourceName] = make(map[string]string, len(settings))
		for _, config := range r.Configs {
			if config.Value != nil {
				found[r.ResourceName][config.Name] = *config.Value
			}
		}
	}
	if len(found) < len(topics) {
		return nil, withClass(errNoAnswer, ClassFatal)
	}
	return found, nil
}

// TombstoneRetention returns for how long each of the topics keeps deletes once they have been compacted (delete.retention.ms), 0 for one that is not
// compacted.
func (c *Client) TombstoneRetention(ctx context.Context, topics []string) (map[string]time.Duration, error) {
	const policy, retention = "cleanup.policy", "delete.retention.ms"
	have, err := c.TopicConfigs(ctx, topics, policy, retention)
	if err != nil {
		return nil, err
	}
	told := make(map[string]time.Duration, len(topics))
	for topic, settings := range have {
		if !strings.Contains(settings[policy], "compact") {
			continue
		}
		ms, err := strconv.ParseInt(settings[retention], 10, 64)
		if err != nil {
			return nil, doing(err, "setting %s of topic %q", retention, topic)
		}
		told[topic] = max(time.Millisecond, time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond)))*time.Millisecond)
	}
	return told, nil
}
