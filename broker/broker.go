package broker

import (
	"context"
	"net"
)

// Broker is a running broker. Open makes one; its methods may be called from any goroutine.
type Broker struct{}

// Open opens or creates the data directory, recovers what it holds and starts serving. It returns when the broker
// answers. ctx bounds the recovery only: a broker that is open stays open until Close.
//
// The error wraps ErrLocked if the directory is in use, and names what to do.
func Open(ctx context.Context, cfg Config) (*Broker, error) { return nil, ErrClosed }

// Brokers returns the addresses to give to a client: the TCP address if the broker listens, else a placeholder that
// means something to Dial only.
func (b *Broker) Brokers() []string { return nil }

// Dial returns a new connection to the broker inside the process, whatever network and addr say, so that it can stand
// in for a net.Dialer's DialContext. Deadlines work; a client that stops reading holds up nobody else.
// It returns ErrClosed after Close.
func (b *Broker) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return nil, ErrClosed
}

// Addr returns the TCP address that is listened on, or nil.
func (b *Broker) Addr() net.Addr { return nil }

// Close stops accepting, lets requests in flight be answered until ctx ends, closes the connections and the log, and
// gives the directory back. Further calls return the same error.
func (b *Broker) Close(ctx context.Context) error { return nil }
