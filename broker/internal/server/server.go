package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/millrace-io/millrace/broker/internal/wire"
)

// Config says what a Server serves. All fields but the last ones are required.
type Config struct {
	Handler          Handler
	MaxConnections   int
	MaxRequestBytes  int
	MaxInFlightBytes int64
	Logger           *slog.Logger

	// Observer, if not nil, is told of what goes by.
	Observer Observer

	// TLS, if not nil, encrypts what listeners accept.
	TLS *tls.Config
	// MaxPerAddress bounds the connections of one client address, and RatePerAddress how many of them may be new in a second; 0: no bound.
	// Loopback addresses, and clients in the process, are not bounded.
	MaxPerAddress  int
	RatePerAddress int
}

// Server serves connections until Shutdown. Its methods may be called from any goroutine.
type Server struct {
	cfg    Config
	memory *budget
	large  *budget // of one: the turn to read a frame above largeFrame
	// largeFrame is an eighth of all memory: what is no larger is read at once.
	largeFrame int64
	wg         sync.WaitGroup // every goroutine of the server

	mu struct {
		sync.Mutex
		conns     map[*conn]struct{}
		addresses addresses
		listeners []net.Listener
		closed    bool

		lastWarning time.Time
		unwarned    int // faults since then that were not logged
	}
}

// New returns a server without listeners.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, memory: newBudget(cfg.MaxInFlightBytes), large: newBudget(1), largeFrame: cfg.MaxInFlightBytes / 8}
	s.mu.conns = make(map[*conn]struct{})
	s.mu.addresses = make(addresses)
	return s
}

// Connections returns how many are open.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.conns)
}

// Serve accepts connections from l, and tells their clients to come back to advertised, a host:port. It returns at
// once; Shutdown closes l.
func (s *Server) Serve(l net.Listener, advertised string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		_ = l.Close() // the server is gone; nobody is left to tell
		return
	}
	s.mu.listeners = append(s.mu.listeners, l)
	s.wg.Go(func() { s.accept(l, advertised) })
}

// accept is the goroutine of one listener.
func (s *Server) accept(l net.Listener, advertised string) {
	const pause = 50 * time.Millisecond // out of file descriptors: wait for connections to end
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			if s.cfg.TLS != nil {
				nc = tls.Server(nc, s.cfg.TLS)
			}
			if err := s.ServeConn(nc, advertised); err != nil {
				if s.cfg.Observer != nil {
					s.cfg.Observer.Refused()
				}
				s.warn("connection refused", nc.RemoteAddr().String(), err)
			}
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.cfg.Logger.Warn("accept", "err", err)
			time.Sleep(pause)
		}
	}
}

// ErrTooManyConnections is returned by ServeConn at Config.MaxConnections, and wrapped where it is too many of one address.
var ErrTooManyConnections = errors.New("too many connections")

// ServeConn serves nc, which it closes when it is done, or at once if it returns an error: ErrTooManyConnections, or
// net.ErrClosed after Shutdown.
func (s *Server) ServeConn(nc net.Conn, advertised string) error {
	c := &conn{server: s, nc: nc, pending: make(chan pending, maxPipelined), peer: peerOf(nc, advertised)}
	c.address = limitedAddress(nc)
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	if err := s.add(c); err != nil {
		c.cancel(err)
		_ = nc.Close() // the refusal is the error to report
		return err
	}
	return nil
}

// add registers c and starts its goroutines.
func (s *Server) add(c *conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return net.ErrClosed
	}
	if len(s.mu.conns) >= s.cfg.MaxConnections {
		return ErrTooManyConnections
	}
	if err := s.mu.addresses.take(c.address, time.Now(), s.cfg.MaxPerAddress, s.cfg.RatePerAddress); err != nil {
		return err
	}
	s.mu.conns[c] = struct{}{}
	s.wg.Go(c.read)
	s.wg.Go(c.write)
	return nil
}

// remove is called by the writer of c as its last act.
func (s *Server) remove(c *conn, cause error) {
	s.mu.Lock()
	delete(s.mu.conns, c)
	s.mu.addresses.release(c.address)
	s.mu.Unlock()
	if cut, ok := errors.AsType[*wire.CutError](cause); ok {
		// No fault of the broker's, and mostly none of the client's: one that closes, or gives up a request, while it writes leaves a
		// part of a frame. Over net.Pipe, which has no buffer, any write can be cut so; over TCP a large one.
		s.cfg.Logger.Debug("client went in the middle of a frame", "remote", c.peer.Host, "got", cut.Got, "want", cut.Want)
		return
	}
	if cause != nil && !quiet(cause) {
		s.warn("connection closed", c.peer.Host, cause)
	}
}

// warn logs a client's fault, but not more than one a second: clients must not fill a disk.
func (s *Server) warn(msg, remote string, err error) {
	const pause = time.Second
	s.mu.Lock()
	now, unwarned := time.Now(), s.mu.unwarned
	if now.Sub(s.mu.lastWarning) < pause {
		s.mu.unwarned++
		s.mu.Unlock()
		return
	}
	s.mu.lastWarning, s.mu.unwarned = now, 0
	s.mu.Unlock()
	s.cfg.Logger.Warn(msg, "remote", remote, "err", err, "not_logged", unwarned)
}

// Shutdown stops accepting and reading, waits until every request that was read has been answered, or until ctx ends,
// closes the connections and waits for their goroutines. Handlers that wait for other clients must end their waits by
// themselves when the broker shuts down.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.mu.closed = true
	var errs []error
	for _, l := range s.mu.listeners {
		if err := l.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	s.mu.listeners = nil
	for c := range s.mu.conns {
		c.drain()
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() { // ends with the last goroutine of the server, which this function waits for
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return errors.Join(errs...)
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.mu.conns {
		c.cancel(net.ErrClosed)
		_ = c.nc.Close() // forced: what was in flight stays unanswered
	}
	s.mu.Unlock()
	<-done
	return errors.Join(append(errs, context.Cause(ctx))...)
}

// peerOf describes the other end of nc.
func peerOf(nc net.Conn, advertised string) Peer {
	p := Peer{Host: "/in-process", InProcess: true}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		p.Host, p.InProcess = "/"+a.IP.String(), false
	}
	host, port, err := net.SplitHostPort(advertised)
	if err != nil {
		p.AdvertisedHost = advertised
		return p
	}
	p.AdvertisedHost = host
	if n, err := strconv.ParseInt(port, 10, 32); err == nil {
		p.AdvertisedPort = int32(n)
	}
	return p
}
