package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/wire"
)

// fake answers heartbeats (by the generation that they carry) when release says so.
type fake struct {
	early   bool // nobody is authenticated
	mu      sync.Mutex
	started []int32
	release func(generation int32) <-chan struct{}
	most    atomic.Int32
	now     atomic.Int32
}

func (f *fake) Admit(*Peer) {}

func (f *fake) Authenticated(*Peer) bool { return !f.early }

func (f *fake) Served(key int16) (wire.Range, bool) {
	return wire.Range{Min: 0, Max: 4}, key == 12 || key == 0
}

func (f *fake) Handle(_ context.Context, req *Request) Reply {
	hb, ok := req.Body.(*kmsg.HeartbeatRequest)
	if !ok {
		return Fail(errors.New("refused"))
	}
	f.mu.Lock()
	f.started = append(f.started, hb.Generation)
	f.mu.Unlock()
	f.most.Store(max(f.most.Load(), f.now.Add(1)))
	return func(ctx context.Context) (Response, error) {
		defer f.now.Add(-1)
		if f.release != nil {
			select {
			case <-f.release(hb.Generation):
			case <-ctx.Done():
				return Response{}, context.Cause(ctx)
			}
		}
		resp := kmsg.NewPtrHeartbeatResponse()
		resp.ErrorCode = int16(hb.Generation)
		return Response{Body: resp}, nil
	}
}

func start(t testing.TB, h Handler, change func(*Config)) *Server {
	t.Helper()
	cfg := Config{
		Handler: h, MaxConnections: 10, MaxRequestBytes: 2 << 20, MaxInFlightBytes: 4 << 20, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	s := New(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func dial(t testing.TB, s *Server) net.Conn {
	t.Helper()
	client, remote := net.Pipe()
	if err := s.ServeConn(remote, "in.process:1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() }) // the server may have closed it
	return client
}

func heartbeat(generation int32, padding int) []byte {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Generation, req.Group = 4, generation, string(make([]byte, padding))
	return kmsg.NewRequestFormatter().AppendRequest(nil, req, generation)
}

// answer reads one response and returns its correlation id.
func answer(t testing.TB, c net.Conn) int32 {
	t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return int32(binary.BigEndian.Uint32(body))
}

func write(t testing.TB, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// TestAnswersInOrder: all requests start at once, the first is ready last, and the answers come in the order of asking.
func TestAnswersInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{release: func(g int32) <-chan struct{} {
			c := make(chan struct{})
			time.AfterFunc(time.Duration(10-g)*time.Second, func() { close(c) })
			return c
		}}
		c := dial(t, start(t, f, nil))
		for g := range int32(10) {
			write(t, c, heartbeat(g, 0))
		}
		synctest.Wait()
		f.mu.Lock()
		if len(f.started) != 10 {
			t.Errorf("%d requests started before the first answer", len(f.started))
		}
		f.mu.Unlock()
		for g := range int32(10) {
			if got := answer(t, c); got != g {
				t.Errorf("answer %d, want %d", got, g)
			}
		}
	})
}

// TestPipelineIsBounded: a client that only asks is not read from for ever.
func TestPipelineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		f := &fake{release: func(int32) <-chan struct{} { return gate }}
		c := dial(t, start(t, f, nil))
		go func() {
			for g := range int32(1000) {
				if _, err := c.Write(heartbeat(g, 0)); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if most := f.most.Load(); most > maxPipelined+2 { // one with the writer, one with the reader
			t.Errorf("%d requests in flight", most)
		}
		close(gate)
		for g := range int32(1000) {
			if got := answer(t, c); got != g {
				t.Fatalf("answer %d, want %d", got, g)
			}
		}
	})
}

// TestMemoryIsShared: large requests of some connections wait for each other, small ones of others do not wait.
func TestMemoryIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		f := &fake{release: func(g int32) <-chan struct{} {
			if g < 100 {
				return gate
			}
			c := make(chan struct{})
			close(c)
			return c
		}}
		s := start(t, f, func(c *Config) { c.MaxInFlightBytes = 2 << 20 })
		large := heartbeat(1, 30_000)
		for range 5 {
			c := dial(t, s)
			go func() {
				for range maxPipelined {
					if _, err := c.Write(large); err != nil {
						return
					}
				}
			}()
		}
		synctest.Wait()
		if n := f.now.Load(); int(n)*len(large) > 2<<20+5*allowance {
			t.Errorf("%d requests of %d bytes are held", n, len(large))
		}
		small := dial(t, s)
		write(t, small, heartbeat(100, 0))
		if got := answer(t, small); got != 100 {
			t.Error(got)
		}
		close(gate)
		synctest.Wait()
	})
}

// TestLargeFramesTakeTurns: one that stops after its beginning holds what has arrived and the turn of other large ones, until its time is up,
// but keeps none of the ordinary requests from being read.
func TestLargeFramesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 14 << 20
		s := start(t, &fake{}, func(c *Config) { c.MaxRequestBytes, c.MaxInFlightBytes = size, 16<<20 })
		begin := time.Now()
		promise := func(sent int) net.Conn {
			c := dial(t, s)
			go func() {
				head := binary.BigEndian.AppendUint32(nil, size)
				_, _ = c.Write(append(head, make([]byte, sent)...)) // key 0; the server ends it
			}()
			synctest.Wait()
			return c
		}
		stuck := promise(80 << 10)
		if n := s.memoryInUse(); n > 4<<20 || n == 0 {
			t.Errorf("%d bytes are held for 80 KiB", n)
		}
		next := promise(size)
		ordinary := dial(t, s)
		for range 20 { // each above the allowance
			go func() { _, _ = ordinary.Write(heartbeat(100, 30_000)); _, _ = ordinary.Write(heartbeat(100, 30_000)) }()
			answer(t, ordinary)
			answer(t, ordinary)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("ordinary requests took %v", took)
		}
		for _, c := range []net.Conn{stuck, next} {
			if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) { // late, or refused by the handler
				t.Errorf("read %d, %v", n, err)
			}
			if took := time.Since(begin); took != frameTime(size) {
				t.Errorf("ended after %v, want %v", took, frameTime(size))
			}
		}
		synctest.Wait()
		if n := s.memoryInUse(); n != 0 {
			t.Errorf("%d bytes are held at the end", n)
		}
	})
}

func (s *Server) memoryInUse() int64 {
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	return s.cfg.MaxInFlightBytes - s.memory.mu.free
}

// TestFaultsCloseOneConnection: whatever is sent, only its own connection ends, and that at once.
func TestFaultsCloseOneConnection(t *testing.T) {
	unknownKey := heartbeat(1, 0)
	unknownKey[5] = 99
	unknownVersion := heartbeat(1, 0)
	unknownVersion[7] = 9
	for name, bytes := range map[string][]byte{
		"negative size":   {0xff, 0xff, 0xff, 0xff},
		"huge size":       {0x7f, 0xff, 0xff, 0xff, 0, 0},
		"empty frame":     {0, 0, 0, 0},
		"unknown key":     unknownKey,
		"unknown version": unknownVersion,
		"large plain":     binary.BigEndian.AppendUint32(nil, maxPlainRequest+1),
		"refused":         kmsg.NewRequestFormatter().AppendRequest(nil, &kmsg.ProduceRequest{Version: 3}, 1),
		"tag bomb":        append(binary.BigEndian.AppendUint32(nil, 15), 0, 12, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, &fake{}, func(c *Config) { c.MaxRequestBytes, c.MaxInFlightBytes = 2*maxPlainRequest, 2*maxPlainRequest })
				good, bad := dial(t, s), dial(t, s)
				began := time.Now()
				go func() {
					_, _ = bad.Write(bytes) // it may be cut off in the middle
					if name == "large plain" {
						_, _ = bad.Write(append([]byte{0, 12}, make([]byte, firstChunkAndMore)...))
					}
				}()
				if n, err := bad.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("read %d, %v", n, err)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("it ended after %v", took)
				}
				write(t, good, heartbeat(7, 0))
				if got := answer(t, good); got != 7 {
					t.Error(got)
				}
			})
		})
	}
}

const firstChunkAndMore = 200 << 10

// TestTimeouts: a connection that asks nothing ends, as does one that stops in the middle of a frame; one that waits for
// an answer does not.
func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := start(t, &fake{release: func(int32) <-chan struct{} { return gate }}, nil)
		idle, stuck, waiting := dial(t, s), dial(t, s), dial(t, s)
		write(t, stuck, heartbeat(1, 0)[:10])
		write(t, waiting, heartbeat(2, 0))
		begin := time.Now()
		for _, c := range []struct {
			net.Conn
			after time.Duration
		}{{stuck, frameTimeout}, {idle, idleTimeout}} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(begin) != c.after {
				t.Errorf("after %v: %v", time.Since(begin), err)
			}
		}
		time.Sleep(idleTimeout)
		close(gate)
		if got := answer(t, waiting); got != 2 {
			t.Error(got)
		}
		begin = time.Now()
		if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(begin) > idleTimeout {
			t.Errorf("idle after an answer: after %v: %v", time.Since(begin), err)
		}
	})
}

// framed answers each request with a frame in pieces, and counts those that it has back.
type framed struct {
	fake
	back atomic.Int32
}

func (f *framed) Handle(context.Context, *Request) Reply {
	return func(context.Context) (Response, error) {
		return Response{Frame: [][]byte{{0, 0, 0, 2}, {1, 2}}, Written: func() { f.back.Add(1) }}, nil
	}
}

// TestWritten: a frame's memory is given back once the frame is written whole, and is not while it may still be read.
func TestWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &framed{}
		c := dial(t, start(t, h, nil))
		write(t, c, heartbeat(1, 0))
		var b [6]byte
		if _, err := io.ReadFull(c, b[:5]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := h.back.Load(); n != 0 {
			t.Error("a frame was given back with a byte to be read")
		}
		if _, err := io.ReadFull(c, b[5:]); err != nil || b != [6]byte{0, 0, 0, 2, 1, 2} {
			t.Errorf("read %v, %v", b, err)
		}
		synctest.Wait()
		if n := h.back.Load(); n != 1 {
			t.Errorf("given back %d times, want once", n)
		}
		write(t, c, heartbeat(1, 0))
		if _, err := io.ReadFull(c, b[:5]); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := h.back.Load(); n != 1 {
			t.Error("a frame was given back that could not be written")
		}
	})
}

// TestUnreadAnswers: a client that does not read its answers is given up after a while, and sooner when the server shuts down.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	gate := func(int32) <-chan struct{} { c := make(chan struct{}); close(c); return c }
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &fake{release: gate}, nil)
		write(t, dial(t, s), heartbeat(1, 0))
		time.Sleep(writeTimeout - time.Millisecond)
		if n := s.Connections(); n != 1 {
			t.Errorf("%d connections before the time is up", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := s.Connections(); n != 0 {
			t.Errorf("%d connections after it", n)
		}
	})
	for name, late := range map[string]bool{"a write that is under way": false, "one that begins later": true} {
		synctest.Test(t, func(t *testing.T) {
			open := make(chan struct{})
			s := start(t, &fake{release: func(int32) <-chan struct{} { return open }}, nil)
			write(t, dial(t, s), heartbeat(1, 0))
			if !late {
				close(open)
			}
			synctest.Wait()
			if late {
				time.AfterFunc(time.Second, func() { close(open) })
			}
			begin, want := time.Now(), drainTimeout
			if late {
				want += time.Second
			}
			if err := s.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(begin); took != want {
				t.Errorf("%s: shutdown took %v, want %v", name, took, want)
			}
		})
	}
}

// TestWaitingForMemory: a request that waits for memory, or for its turn, has the time to arrive that it would have had, and one whose
// connection ends meanwhile takes nothing.
func TestWaitingForMemory(t *testing.T) {
	t.Parallel()
	const all = 4 << 20
	for size, taken := range map[int]func(s *Server) *budget{
		300_000:   func(s *Server) *budget { return s.memory },
		1_000_000: func(s *Server) *budget { return s.large },
	} {
		for _, gone := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				s := start(t, &fake{release: func(int32) <-chan struct{} { return gate }}, func(c *Config) { c.MaxInFlightBytes = all })
				b := taken(s)
				n := b.mu.free
				if err := b.acquire(t.Context(), n); err != nil {
					t.Fatal(err)
				}
				c := dial(t, s)
				write(t, c, heartbeat(1, 0))
				go func() { _, _ = c.Write(heartbeat(2, size)) }() // the connection may end
				time.Sleep(frameTimeout + time.Minute)
				if gone {
					if err := c.Close(); err != nil {
						t.Fatal(err)
					}
					close(gate) // the answer cannot be written
					synctest.Wait()
					if b.mu.free != 0 {
						t.Errorf("%d bytes: %d are free", size, b.mu.free)
					}
				}
				b.release(n)
				if gone {
					return
				}
				close(gate)
				for _, want := range []int32{1, 2} {
					if got := answer(t, c); got != want {
						t.Errorf("%d bytes: answer %d, want %d", size, got, want)
					}
				}
			})
		}
	}
}

// TestShutdownAnswersWhatWasRead: requests in flight are answered, new ones are not read, and nothing is left running
// (the bubble would not end).
func TestShutdownAnswersWhatWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := start(t, &fake{release: func(int32) <-chan struct{} { return gate }}, nil)
		c, idle := dial(t, s), dial(t, s)
		write(t, c, heartbeat(1, 0))
		synctest.Wait()
		begin := time.Now()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("idle connection: %v", err)
		}
		synctest.Wait()
		close(gate)
		if got := answer(t, c); got != 1 {
			t.Error(got)
		}
		if err := <-done; err != nil || time.Since(begin) != 0 {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		if err := s.ServeConn(c, ""); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after shutdown: %v", err)
		}
	})
}

// TestShutdownIsForced: a client that does not read, or a handler that waits, does not hold up for longer than asked.
func TestShutdownIsForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &fake{release: func(int32) <-chan struct{} { return nil }}, nil)
		write(t, dial(t, s), heartbeat(1, 0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestConnectionLimit(t *testing.T) {
	s := start(t, &fake{}, func(c *Config) { c.MaxConnections = 1 })
	dial(t, s)
	_, remote := net.Pipe()
	if err := s.ServeConn(remote, ""); !errors.Is(err, ErrTooManyConnections) {
		t.Error(err)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, &fake{}, nil)
	s.Serve(l, l.Addr().String())
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the other end may have closed first
	write(t, c, heartbeat(5, 0))
	if got := answer(t, c); got != 5 {
		t.Error(got)
	}
}

// TestCutFrame: a client that closes while its write is under way leaves a part of a frame, which is told at level debug, with how
// much of it came, and never as a warning: a client library does that at the end of a clean run. Over net.Pipe the write is cut where
// the server's reader is, since there is no buffer.
func TestCutFrame(t *testing.T) {
	for want, n := range map[string]int{"got=2 want=4": 2, "got=6 want=": 10} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			s := start(t, &fake{}, func(c *Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			c := dial(t, s)
			frame := heartbeat(1, 100)
			write(t, c, frame[:n])
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := log.String(); !strings.Contains(got, want) || !strings.Contains(got, "level=DEBUG") || strings.Contains(got, "WARN") {
				t.Errorf("log %q, want %q", got, want)
			}
		})
	}
}

// TestFaultsAreLoggedSparingly: a client's fault is told, those of the same second are counted, and who just goes is no fault.
func TestFaultsAreLoggedSparingly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := start(t, &fake{}, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		fault := func() {
			c := dial(t, s)
			write(t, c, []byte{0xff, 0xff, 0xff, 0xff})
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			synctest.Wait()
		}
		told := func(want ...string) {
			t.Helper()
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			for i, line := range lines {
				if len(lines) != len(want) || !strings.Contains(line, want[i]) || !strings.Contains(line, "frame size") {
					t.Errorf("told %q, want %q", lines, want)
				}
			}
		}
		fault()
		told("not_logged=0")
		fault()
		fault()
		told("not_logged=0")
		time.Sleep(time.Second)
		fault()
		told("not_logged=0", "not_logged=2")
		time.Sleep(time.Second)
		fault()
		told("not_logged=0", "not_logged=2", "not_logged=0")
		time.Sleep(time.Second)
		if err := dial(t, s).Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		told("not_logged=0", "not_logged=2", "not_logged=0")
	})
}
