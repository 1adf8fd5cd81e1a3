package server

import (
	"fmt"
	"net"
	"time"
)

// addresses counts connections by the client's address, so that no machine takes them all. Addresses without a connection are
// forgotten once they would be let in again.
type addresses map[string]*address

type address struct {
	open int
	// credit is how many new connections there may be at once, at the time of since; it grows to a second's worth.
	credit float64
	since  time.Time
}

// limitedAddress returns what a connection counts for: nothing if it comes from this machine.
func limitedAddress(nc net.Conn) string {
	a, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok || a.IP.IsLoopback() {
		return ""
	}
	return a.IP.String()
}

// take counts a connection in, unless most are open or rate a second were exceeded. Zero stands for no bound.
func (s addresses) take(name string, now time.Time, most, rate int) error {
	if name == "" || most == 0 && rate == 0 {
		return nil
	}
	a := s[name]
	if a == nil {
		s.forget(now, rate)
		a = &address{credit: float64(rate), since: now}
		s[name] = a
	}
	if most > 0 && a.open >= most {
		return fmt.Errorf("%w of one address: %d", ErrTooManyConnections, a.open)
	}
	if rate > 0 {
		a.credit = min(a.credit+now.Sub(a.since).Seconds()*float64(rate), float64(rate))
		a.since = now
		if a.credit < 1 {
			return fmt.Errorf("%w of one address in a second: %d", ErrTooManyConnections, rate)
		}
		a.credit--
	}
	a.open++
	return nil
}

// release counts a connection out.
func (s addresses) release(name string) {
	if a := s[name]; a != nil {
		a.open--
	}
}

// forget drops addresses that have no connection and all their credit, once there are many.
func (s addresses) forget(now time.Time, rate int) {
	const many = 1024
	if len(s) < many {
		return
	}
	for name, a := range s {
		if a.open == 0 && (rate == 0 || now.Sub(a.since) >= time.Second) {
			delete(s, name)
		}
	}
}
