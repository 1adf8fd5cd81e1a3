package broker_test

import (
	"context"
	"errors"
	"io"
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
	if err != nil {
		return nil, err
	}
	s.conns = append(s.conns, c)
	return cutConn{c}, nil
}

// cutConn looks to its client as if the other side had closed it, which is what a crash looks like, though it is closed on this
// side: clients take the latter for their own doing and do not try again.
type cutConn struct{ net.Conn }

func (c cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = io.EOF
	}
	return n, err
}

func (c cutConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = io.EOF
	}
	return n, err
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
