package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/broker/internal/wire"
)

const (
	// maxPipelined bounds the requests of a connection that are read and not yet answered.
	maxPipelined = 64
	// allowance is what a connection may hold in requests without asking the shared budget.
	allowance = 64 << 10
	// maxPlainRequest bounds every request but Produce, whose bytes are not decoded. It has room for thousands of topics with configs, or
	// of partitions with the longest metadata, and for a large group's assignment; what it decodes into is a multiple (wire.Decode).
	maxPlainRequest = 16 << 20
	// maxScratch is what a connection keeps of the buffer of a response.
	maxScratch = 1 << 20

	// maxEarlyRequest bounds every request of a peer that is not authenticated.
	maxEarlyRequest = 64 << 10

	handshakeTimeout = 10 * time.Second // for TLS, and for what else authentication takes
	idleTimeout      = 10 * time.Minute // without a request or an open answer
	frameTimeout     = 30 * time.Second // for a frame that has begun, and a second more for each MiB of it
	writeTimeout     = time.Minute      // for one response
	drainTimeout     = 2 * time.Second  // the same when the server shuts down
)

// errDraining ends a reader when the server shuts down; its writer still answers what has been read.
var errDraining = errors.New("server is shutting down")

// errUnauthenticated ends a connection whose peer did not say in time who it is.
var errUnauthenticated = errors.New("not authenticated")

// conn is one connection. Its reader and its writer share nothing but pending and the counters.
type conn struct {
	server *Server
	nc     net.Conn
	peer   Peer
	ctx    context.Context // ends when the connection does, not when the server drains
	cancel context.CancelCauseFunc

	pending  chan pending // reader to writer; closed by the reader
	held     atomic.Int64 // bytes of requests not yet answered
	draining atomic.Bool
	out      []byte // owned by the writer: scratch for small responses

	early   time.Time // owned by the reader: when it is too late to be authenticated
	known   bool      // owned by the reader: the peer is authenticated
	address string    // what the connection counts for; empty: nothing
}

// pending is a request whose response is due.
type pending struct {
	header wire.Header
	reply  Reply
	size   int64 // of the request
	shared int64 // of it, what was taken from the shared budget
}

// read is the reader goroutine.
func (c *conn) read() {
	err := c.readRequests()
	if !errors.Is(err, errDraining) {
		c.cancel(err) // before the writer can end, which has no better reason to tell
	}
	close(c.pending)
}

func (c *conn) readRequests() error {
	if err := c.greet(); err != nil {
		return err
	}
	for {
		size, err := c.awaitFrame()
		if err != nil {
			return err
		}
		p := pending{size: int64(size)}
		frame, err := c.readFrame(&p)
		if err == nil {
			err = c.dispatch(frame, &p)
		}
		if err != nil {
			c.server.memory.release(p.shared)
			return err
		}
	}
}

// greet does the TLS handshake, if there is one to do, and has the peer admitted.
func (c *conn) greet() error {
	c.early = time.Now().Add(handshakeTimeout)
	if nc, ok := c.nc.(*tls.Conn); ok {
		ctx, cancel := context.WithDeadline(c.ctx, c.early)
		defer cancel()
		if err := nc.HandshakeContext(ctx); err != nil {
			if c.draining.Load() {
				return errDraining
			}
			return fmt.Errorf("TLS handshake: %w", err)
		}
		state := nc.ConnectionState()
		c.peer.TLS = &state
	}
	c.server.cfg.Handler.Admit(&c.peer)
	return nil
}

// awaitFrame waits for the next frame and returns its size. A connection that waits for an answer is not idle, and one that is not
// authenticated has to hurry all the same.
func (c *conn) awaitFrame() (int, error) {
	for {
		c.known = c.server.cfg.Handler.Authenticated(&c.peer)
		limit := c.server.cfg.MaxRequestBytes
		if !c.known {
			limit = min(limit, maxEarlyRequest)
		}
		c.setReadDeadline(idleTimeout)
		if c.draining.Load() {
			return 0, errDraining
		}
		size, err := wire.ReadSize(c.nc, limit)
		switch {
		case err == nil:
			return size, nil
		case c.draining.Load():
			return 0, errDraining
		case isTimeout(err) && !c.known:
			return 0, fmt.Errorf("%w: it took longer than %v", errUnauthenticated, handshakeTimeout)
		case isTimeout(err) && c.held.Load() > 0:
			continue
		}
		return 0, err
	}
}

// readFrame reads the frame that p.size announces and takes from the shared budget what exceeds the allowance (S2).
func (c *conn) readFrame(p *pending) ([]byte, error) {
	c.setReadDeadline(frameTime(p.size))
	turn := false // at reading a large frame
	frame, err := wire.ReadBody(c.nc, int(p.size), func(arrived []byte, room int) error {
		if len(arrived) == 0 && c.held.Load()+min(p.size, allowance) <= allowance {
			return nil
		}
		if len(arrived) > 0 && p.size > maxPlainRequest && wire.Key(arrived) != 0 {
			return fmt.Errorf("%w: %d for key %d", wire.ErrFrameSize, p.size, wire.Key(arrived))
		}
		return c.charge(p, room, &turn)
	})
	if turn {
		c.server.large.release(1)
	}
	if err != nil && c.draining.Load() {
		return nil, errDraining
	}
	return frame, err
}

// charge takes from the shared budget what a frame needs: all at once, but of a large one what the next buffer takes, so that a promise
// alone keeps nobody else from being read. Only one large frame is read at a time: of two that have begun, each could wait for the
// other's bytes.
func (c *conn) charge(p *pending, room int, turn *bool) error {
	need := p.size
	if p.size > c.server.largeFrame {
		need = int64(room)
		if !*turn {
			if err := c.server.large.acquire(c.ctx, 1); err != nil {
				return err
			}
			*turn = true
		}
	}
	if need <= p.shared {
		return nil
	}
	if err := c.server.memory.acquire(c.ctx, need-p.shared); err != nil {
		return err
	}
	p.shared = need
	c.setReadDeadline(frameTime(p.size)) // waiting was not the client's fault
	return nil
}

// frameTime is how long a client may take to send a frame.
func frameTime(size int64) time.Duration {
	return frameTimeout + time.Duration(size>>20)*time.Second
}

// dispatch decodes a frame, starts the request and queues its reply.
func (c *conn) dispatch(frame []byte, p *pending) error {
	h := c.server.cfg.Handler
	req, err := wire.Decode(frame, h.Served)
	if err != nil {
		return err
	}
	c.held.Add(p.size)
	p.header = req.Header
	if o := c.server.cfg.Observer; o != nil {
		o.Request(req.Key, len(frame))
	}
	p.reply = h.Handle(c.ctx, &Request{Request: req, Peer: &c.peer})
	select {
	case c.pending <- *p:
		return nil
	case <-c.ctx.Done():
		c.held.Add(-p.size)
		return context.Cause(c.ctx)
	}
}

// setReadDeadline gives the client time to send. Whoever waits for long looks at draining after it, as the deadline that
// drain has set is gone.
func (c *conn) setReadDeadline(d time.Duration) {
	at := time.Now().Add(d)
	if !c.known && at.After(c.early) {
		at = c.early
	}
	_ = c.nc.SetReadDeadline(at) // an error means that the connection is closed, which the next read reports
}

// drain makes the reader stop before the next frame, and gives the client less time to read what is still answered.
func (c *conn) drain() {
	c.draining.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // as in setReadDeadline
	c.setWriteDeadline()
}

func (c *conn) setWriteDeadline() {
	_ = c.nc.SetWriteDeadline(time.Now().Add(writeTimeout)) // as in setReadDeadline
	if c.draining.Load() {
		_ = c.nc.SetWriteDeadline(time.Now().Add(drainTimeout))
	}
}

// write is the writer goroutine. It answers in order (S1) until the reader has ended and nothing is pending, and closes
// the connection. After an error it goes on taking replies, so that the reader is not stuck and budgets are returned.
func (c *conn) write() {
	var failed error
	for p := range c.pending {
		if failed == nil {
			if failed = c.answer(p); failed != nil {
				c.cancel(failed)
				_ = c.nc.Close() // wakes the reader; the first error is the one to report
			}
		}
		c.held.Add(-p.size)
		c.server.memory.release(p.shared)
	}
	c.cancel(net.ErrClosed)
	_ = c.nc.Close() // nothing is left to write, and the client may have closed first
	c.server.remove(c, context.Cause(c.ctx))
}

func (c *conn) answer(p pending) error {
	resp, err := p.reply(c.ctx)
	var written int64
	if err == nil {
		written, err = c.respond(p.header, &resp)
	} else {
		err = fmt.Errorf("key %d version %d: %w", p.header.Key, p.header.Version, err)
	}
	if o := c.server.cfg.Observer; o != nil {
		o.Response(p.header.Key, written, resp, err)
	}
	if err == nil {
		err = resp.Close
	}
	return err
}

// respond writes a response and returns its size.
func (c *conn) respond(h wire.Header, resp *Response) (written int64, err error) {
	c.setWriteDeadline()
	switch {
	case resp.Body != nil:
		c.out = wire.AppendResponse(c.out[:0], h, resp.Body)
		written = int64(len(c.out))
		_, err = c.nc.Write(c.out)
		if cap(c.out) > maxScratch {
			c.out = nil
		}
	case resp.Frame != nil:
		buffers := net.Buffers(resp.Frame)
		written, err = buffers.WriteTo(c.nc) // one writev on TCP
		if err == nil && resp.Written != nil {
			resp.Written()
		}
	}
	return written, err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// quiet reports whether err is an ordinary end of a connection.
func quiet(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errDraining) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, context.Canceled) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
