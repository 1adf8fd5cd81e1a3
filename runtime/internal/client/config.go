package client

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"

	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/millrace-io/millrace/runtime/internal/task"
)

// Config says how to reach the log.
type Config struct {
	// Brokers are the addresses to begin with, host:port (bootstrap.servers). At least one.
	Brokers []string
	// Dial opens connections; nil means TCP. The embedded broker is reached through its own.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS, if not nil, is used on connections that Dial or TCP made.
	TLS *tls.Config
	// SASL, if not nil, authenticates every connection.
	SASL sasl.Mechanism
	// ClientID is shown in the broker's logs and quotas (client.id). Default "millrace".
	ClientID string
	// Rack is where the client is, among the racks of the brokers (client.rack): Fetchers read from replicas there (KIP-392). Empty: from
	// leaders.
	Rack string
	// Logger; nil means slog.Default().
	Logger *slog.Logger

	transactionV1 bool // tests: as if transaction.version 2 were not finalised
}

// TopicPartition names a partition. It is the task's word for the same thing.
type TopicPartition = task.Input

// Identity is under what a member of a group commits offsets: the pair of member id and generation fences zombies.
type Identity struct {
	Group      string
	MemberID   string
	Generation int32
	InstanceID string // of a static member (group.instance.id, KIP-345), else empty
}

// instanceID returns the instance id as requests carry it.
func (id *Identity) instanceID() *string { return optional(id.InstanceID) }

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Committed is a committed offset: the next one to process.
type Committed struct {
	Offset      int64
	LeaderEpoch int32 // of the last record before Offset, -1 if unknown
	Metadata    string
}
