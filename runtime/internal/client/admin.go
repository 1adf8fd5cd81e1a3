package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// NewTopic is a topic to create.
type NewTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16 // 0: the broker's default
	Configs           map[string]string
}

// PartitionCountError says that a topic exists with another number of partitions than is needed.
type PartitionCountError struct {
	Topic      string
	Have, Want int32
}

// Error implements error.
func (e *PartitionCountError) Error() string {
	return fmt.Sprintf("topic %q has %d partitions, %d are needed", e.Topic, e.Have, e.Want)
}

var errNotVisible = errors.New("topic is not in the metadata yet")

// createTimeout is how long the broker may take to create topics.
const createTimeout = 15 * time.Second

// CreateTopics creates the topics that do not exist, and returns when the log's metadata shows all of them with leaders. A
// topic that exists is left as it is; if its number of partitions differs the error is a *PartitionCountError.
func (c *Client) CreateTopics(ctx context.Context, topics ...NewTopic) error {
	if len(topics) == 0 {
		return nil
	}
	if err := retry(ctx, func() error { return c.createTopics(ctx, topics) }); err != nil {
		return err
	}
	return retry(ctx, func() error { return c.checkTopics(ctx, topics) })
}

func (c *Client) createTopics(ctx context.Context, topics []NewTopic) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(createTimeout.Milliseconds())
	for _, t := range topics {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.Name, t.Partitions, t.ReplicationFactor
		if rt.ReplicationFactor == 0 {
			rt.ReplicationFactor = -1
		}
		for _, name := range slices.Sorted(maps.Keys(t.Configs)) {
			config := kmsg.NewCreateTopicsRequestTopicConfig()
			config.Name, config.Value = name, kmsg.StringPtr(t.Configs[name])
			rt.Configs = append(rt.Configs, config)
		}
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return doing(answered(err, 0), "create topics")
	}
	for _, t := range resp.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		if err == nil || errors.Is(err, kerr.TopicAlreadyExists) {
			continue
		}
		if t.ErrorMessage != nil && *t.ErrorMessage != "" {
			err = fmt.Errorf("%w (%s)", err, *t.ErrorMessage)
		}
		return doing(err, "create topic %q", t.Topic)
	}
	return nil
}

// ExistingTopics is as RefreshTopics, but what is missing in its answer does not exist. Brokers learn of a new topic one after the other, so
// that metadata may leave it out: the controller is asked about what is, and what it knows is waited for, for half a minute at most. A client
// that must not create a topic is told of metadata alone.
func (c *Client) ExistingTopics(ctx context.Context, names ...string) (map[string]Topic, error) {
	var found map[string]Topic
	var since time.Time // when metadata left out a topic that exists
	err := retry(ctx, func() (err error) {
		if found, err = c.RefreshTopics(ctx, names...); err != nil {
			return err
		}
		missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, ok := found[name]; return ok })
		late, err := c.known(ctx, missing)
		if err != nil || len(late) == 0 {
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		err = doing(errNotVisible, "look up topics %q", late)
		if time.Since(since) > missingTimeout {
			return withClass(err, ClassFatal)
		}
		return err
	})
	return found, err
}

// known returns those of the topics that the controller knows: it is asked to check their creation.
func (c *Client) known(ctx context.Context, names []string) (known []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.ValidateOnly = int32(createTimeout.Milliseconds()), true
	for _, name := range names {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, 1, 1
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return nil, doing(answered(err, 0), "ask whether topics %q exist", names)
	}
	for _, t := range resp.Topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		switch {
		case errors.Is(err, kerr.TopicAlreadyExists):
			known = append(known, t.Topic)
		case err != nil && ClassOf(err) == ClassRetry: // not the controller any more
			return nil, doing(err, "ask whether topic %q exists", t.Topic)
		}
	}
	return known, nil
}

func (c *Client) checkTopics(ctx context.Context, topics []NewTopic) error {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	found, err := c.RefreshTopics(ctx, names...)
	if err != nil {
		return err
	}
	for _, want := range topics {
		t, ok := found[want.Name]
		if !ok {
			return doing(errNotVisible, "create topic %q", want.Name)
		}
		if want.Partitions > 0 && int(want.Partitions) != len(t.Partitions) {
			return withClass(&PartitionCountError{want.Name, int32(len(t.Partitions)), want.Partitions}, ClassFatal)
		}
		for _, p := range t.Partitions {
			if p.Leader < 0 {
				return doing(kerr.LeaderNotAvailable, "create topic %q", want.Name)
			}
		}
	}
	return nil
}
