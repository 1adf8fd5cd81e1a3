package client

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// connectTimeout bounds Connect where its context does not.
const connectTimeout = 30 * time.Second

// Client makes single requests. It is safe for use by several goroutines.
type Client struct {
	cfg       Config
	conn      *kgo.Client
	versions  *kversion.Versions // caps of what this log may be sent
	v2        bool
	clusterID string
	log       *slog.Logger

	mu struct {
		sync.Mutex
		topics map[string]Topic
	}
}

// Connect asks a broker for its versions and features and returns a Client that uses them. It fails if no broker answers.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	if len(cfg.Brokers) == 0 {
		return nil, errors.New("no broker address is given")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.ClientID == "" {
		cfg.ClientID = "millrace"
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()

	c := &Client{cfg: cfg, log: cfg.Logger}
	c.mu.topics = make(map[string]Topic)
	err := c.negotiate(ctx)
	if err == nil {
		c.conn, _, err = c.open()
	}
	if err == nil {
		if err = c.loadClusterID(ctx); err != nil {
			c.Close()
		}
	}
	if err != nil {
		return nil, doing(err, "connect to %s", strings.Join(cfg.Brokers, ","))
	}
	return c, nil
}

// negotiate decides the versions (N1).
func (c *Client) negotiate(ctx context.Context) error {
	probe, err := kgo.NewClient(c.cfg.options(nil)...)
	if err != nil {
		return err
	}
	defer probe.Close()
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, probe)
	if err != nil {
		return answered(err, 0)
	}
	c.v2 = transactionV2(resp) && !c.cfg.transactionV1
	c.versions = maxVersions(c.v2)
	return nil
}

func (c *Client) loadClusterID(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := req.RequestWith(ctx, c.conn)
	if err != nil {
		return answered(err, 0)
	}
	if resp.ClusterID != nil {
		c.clusterID = *resp.ClusterID
	}
	return nil
}

// open makes another set of connections. Long polls and produced batches get their own, for a broker answers the requests
// of one connection one after the other. A log that holds its client back does so by connection, too.
func (c *Client) open() (*kgo.Client, *throttle, error) {
	t := newThrottle(c.log)
	conn, err := kgo.NewClient(append(c.cfg.options(c.versions), kgo.WithHooks(t))...)
	return conn, t, err
}

// Close closes the connections. Producers and Fetchers have their own and are closed by their owners.
func (c *Client) Close() {
	if c.conn != nil {
		c.conn.Close()
	}
}

// ClusterID returns the id of the cluster, empty if the log has none.
func (c *Client) ClusterID() string { return c.clusterID }

// TransactionV2 reports whether the log has finalised transaction.version 2 (KIP-890).
func (c *Client) TransactionV2() bool { return c.v2 }
