package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	s := make(addresses)
	take := func(name string) bool {
		err := s.take(name, now, 3, 2)
		if err != nil && !errors.Is(err, ErrTooManyConnections) {
			t.Fatal(err)
		}
		return err == nil
	}
	expect := func(what string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	expect("first", take("a"), true)
	expect("second", take("a"), true)
	expect("third in the same second", take("a"), false)
	expect("another address", take("b"), true)
	now = now.Add(500 * time.Millisecond)
	expect("half a second later", take("a"), true)
	now = now.Add(time.Minute)
	expect("fourth at once", take("a"), false)
	s.release("a")
	expect("after one has gone", take("a"), true)
	for range 10 {
		if err := s.take("", now, 1, 1); err != nil {
			t.Errorf("not counted: %v", err)
		}
		if err := s.take("c", now, 0, 0); err != nil {
			t.Errorf("no bound: %v", err)
		}
	}
	s.release("a")
	s.release("unknown")
	for i := range 5000 {
		name := fmt.Sprint(i)
		expect(name, take(name), true)
		s.release(name)
		now = now.Add(10 * time.Millisecond)
	}
	if len(s) > 1100 {
		t.Errorf("%d addresses are remembered", len(s))
	}
}

// TestAddressCredit: trying again and again earns no more than waiting does, and an address with an open connection is not forgotten,
// however many others there were.
func TestAddressCredit(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	s := make(addresses)
	let := 0
	for range 100 { // in ten seconds
		if s.take("a", now, 0, 2) == nil {
			let++
			s.release("a")
		}
		now = now.Add(100 * time.Millisecond)
	}
	if let != 21 {
		t.Errorf("%d connections are let in, want 2 at once and 19 later", let)
	}
	if err := s.take("b", now, 1, 2); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	for i := range 2000 {
		if err := s.take(fmt.Sprint(i), now, 1, 2); err != nil {
			t.Fatal(err)
		}
		s.release(fmt.Sprint(i))
	}
	if err := s.take("b", now, 1, 2); !errors.Is(err, ErrTooManyConnections) {
		t.Errorf("a second connection: %v", err)
	}
	for i := range 2000 { // in the same second
		if name := fmt.Sprint(i); s.take(name, now, 1, 2) != nil || s.take(name, now, 3, 2) == nil {
			t.Fatalf("%s has its credit anew", name)
		}
		s.release(fmt.Sprint(i))
	}
}

func TestLoopbackIsNotLimited(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{"127.0.0.1": "", "::1": "", "192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::1"} {
		if got := limitedAddress(from{addr: &net.TCPAddr{IP: net.ParseIP(ip)}}); got != want {
			t.Errorf("%s: %q", ip, got)
		}
	}
	client, remote := net.Pipe()
	defer client.Close()
	defer remote.Close()
	if got := limitedAddress(remote); got != "" {
		t.Errorf("in process: %q", got)
	}
}

// TestConnectionsOfOneAddress: the bound is of those that are open, and of one address.
func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &fake{}, func(c *Config) { c.MaxPerAddress = 1 })
		connect := func(ip string) (net.Conn, error) {
			client, remote := net.Pipe()
			t.Cleanup(func() { _ = client.Close() }) // the server may have closed it
			return client, s.ServeConn(from{remote, &net.TCPAddr{IP: net.ParseIP(ip)}}, "")
		}
		first, err := connect("192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		second, err := connect("192.0.2.1")
		if !errors.Is(err, ErrTooManyConnections) {
			t.Errorf("a second one: %v", err)
		}
		if _, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("it is not closed: %v", err)
		}
		if _, err := connect("192.0.2.2"); err != nil {
			t.Errorf("of another address: %v", err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := connect("192.0.2.1"); err != nil {
			t.Errorf("after the first has gone: %v", err)
		}
	})
}

// from is a connection from an address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// TestEarlyPeersHurry: who is not authenticated gets ten seconds in all, however the bytes come.
func TestEarlyPeersHurry(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(net.Conn){
		"silent": func(net.Conn) {},
		"byte by byte": func(c net.Conn) {
			for _, b := range heartbeat(1, 100) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
		"requests": func(c net.Conn) {
			for {
				if _, err := c.Write(heartbeat(1, 0)); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, &fake{early: true}, nil)
				c := dial(t, s)
				began := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() { write(c) })
				defer wg.Wait()
				if err := c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				for {
					if _, err := c.Read(make([]byte, 100)); err != nil {
						break
					}
				}
				if d := time.Since(began); d < 9*time.Second || d > 11*time.Second {
					t.Errorf("closed after %v", d)
				}
			})
		})
	}
	s := start(t, &fake{early: true}, nil)
	c := dial(t, s)
	go func() { _, _ = c.Write(heartbeat(1, 30_000)) }()
	if got := answer(t, c); got != 1 {
		t.Error(got)
	}
}

// TestEarlyPeersAreBrief: a frame that would do for others closes the connection of a peer that is not authenticated, before it is read.
func TestEarlyPeersAreBrief(t *testing.T) {
	t.Parallel()
	for size, want := range map[uint32]time.Duration{maxEarlyRequest: handshakeTimeout, maxEarlyRequest + 1: 0} {
		synctest.Test(t, func(t *testing.T) {
			c := dial(t, start(t, &fake{early: true}, nil))
			began := time.Now()
			write(t, c, binary.BigEndian.AppendUint32(nil, size))
			if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("read %d, %v", n, err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("a frame of %d bytes: it ended after %v, want %v", size, took, want)
			}
		})
	}
}
