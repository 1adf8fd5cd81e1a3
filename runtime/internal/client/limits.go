package client

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const maxMessageBytes = "max.message.bytes"

// MaxMessageBytes returns the size of the largest record batch that a topic takes (max.message.bytes), as the log says now.
func (c *Client) MaxMessageBytes(ctx context.Context, topic string) (int, error) {
	n := 0
	err := retry(ctx, func() (err error) {
		n, err = c.maxMessageBytes(ctx, topic)
		return err
	})
	return n, doing(err, "look up %s of topic %q", maxMessageBytes, topic)
}

func (c *Client) maxMessageBytes(ctx context.Context, topic string) (int, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{maxMessageBytes}
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return 0, answered(err, 0)
	}
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return 0, err
		}
		for _, config := range r.Configs {
			if config.Name == maxMessageBytes && config.Value != nil {
				n, err := strconv.Atoi(*config.Value)
				if err != nil {
					return 0, withClass(fmt.Errorf("%q: %w", *config.Value, err), ClassFatal)
				}
				return n, nil
			}
		}
	}
	return 0, withClass(errNoAnswer, ClassFatal)
}
