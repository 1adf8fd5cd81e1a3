package client

import (
	"context"
	"errors"
)

var errPending = errors.New("pending")

// Client makes single requests. It is safe for use by several goroutines.
type Client struct{}

// Connect asks a broker for its versions and features and returns a Client that uses them. It fails if no broker answers.
func Connect(ctx context.Context, cfg Config) (*Client, error) { return nil, errPending }

// Close closes the connections. Producers and Fetchers have their own and are closed by their owners.
func (c *Client) Close() {}

// ClusterID returns the id of the cluster, empty if the log has none.
func (c *Client) ClusterID() string { return "" }

// TransactionV2 reports whether the log has finalised transaction.version 2 (KIP-890).
func (c *Client) TransactionV2() bool { return false }
