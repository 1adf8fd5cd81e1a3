package api

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/server"
)

// Principals of clients that did not say who they are.
const (
	anonymous = "User:ANONYMOUS"  // as in Kafka
	inProcess = "User:in-process" // part of this process, which can do everything anyhow
)

// session is what is known of a connection's client. It is changed while a request is handled, by the connection's reader; a Reply must
// not look at it.
type session struct {
	principal string
	host      string
	// trusted clients may do everything: they are in this process, or super users.
	trusted bool

	stage     stage
	named     bool // by SASL: another name is refused
	mechanism string
	exchange  access.Exchange // in stageExchanging
	expires   time.Time       // zero: never
}

// stage is how far a client's authentication has got.
type stage uint8

const (
	stageGreeted    stage = iota // nothing was said
	stageExchanging              // a mechanism was chosen
	stageKnown                   // done, or not asked for
	stageRejected                // over: the connection is about to close
)

// sessionOf returns the session of a request's connection.
func (a *API) sessionOf(peer *server.Peer) *session {
	if s, ok := peer.Session.(*session); ok {
		return s
	}
	a.Admit(peer)
	return peer.Session.(*session)
}

// Admit implements server.Handler.
func (a *API) Admit(peer *server.Peer) {
	s := &session{principal: anonymous, host: strings.TrimPrefix(peer.Host, "/")}
	peer.Session = s
	switch {
	case peer.InProcess:
		s.principal, s.trusted, s.stage = inProcess, true, stageKnown
	case len(a.cfg.Mechanisms) == 0:
		s.stage = stageKnown
		if peer.TLS != nil && len(peer.TLS.VerifiedChains) > 0 {
			s.principal = "User:" + peer.TLS.PeerCertificates[0].Subject.String()
		}
		s.trusted = a.cfg.SuperUsers[s.principal]
	}
}

// Authenticated implements server.Handler.
func (a *API) Authenticated(peer *server.Peer) bool { return a.sessionOf(peer).authenticated() }

// authenticated reports whether the client is known, also while it is about to prove again who it is.
func (s *session) authenticated() bool {
	return s.stage == stageKnown || s.stage == stageExchanging && (s.named || s.trusted)
}

var (
	errUnauthenticated = errors.New("a request before authentication")
	errExpired         = errors.New("the session is over, and the client did not authenticate again")
	errRejected        = errors.New("a request after authentication failed")
)

// permits reports why a request of a key is not even looked at.
func (s *session) permits(key int16, now time.Time) error {
	switch key {
	case keySaslHandshake, keySaslAuthenticate, keyAPIVersions:
		if s.stage == stageRejected {
			return errRejected
		}
		return nil
	}
	switch {
	case s.stage == stageRejected:
		return errRejected
	case !s.authenticated():
		return fmt.Errorf("%w: key %d", errUnauthenticated, key)
	case !s.expires.IsZero() && !now.Before(s.expires):
		return errExpired
	}
	return nil
}
