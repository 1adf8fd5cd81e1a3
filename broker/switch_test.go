package broker_test

import (
	"context"
	"net"
	"sync"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// switchable dials one broker, and later another in its place, as a restart on the same address would look.
type switchable struct {
	mu     sync.Mutex
	broker *brokertest.Broker
	conns  []net.Conn
}

func (s *switchable) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.broker.Dial(ctx, network, addr)
	if err == nil {
		s.conns = append(s.conns, c)
	}
	return c, err
}

// to cuts all connections, and connects to b from now on.
func (s *switchable) to(b *brokertest.Broker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close() // some are closed already
	}
	s.conns, s.broker = nil, b
}
