package api

// SaslAuthenticate, key 36, versions 0-2.
//
//	1  how long the session lasts (KIP-368)
//	2  flexible
//
// PLAIN is checked against what is kept for SCRAM. A client that fails is told after a moment, and its connection closes.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

// failureDelay is how long a client waits to hear that it failed (connection.failed.authentication.delay.ms).
const failureDelay = 100 * time.Millisecond

func (a *API) saslAuthenticate(req *server.Request, r *kmsg.SASLAuthenticateRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	s := a.sessionOf(req.Peer)
	if s.stage != stageExchanging {
		resp.ErrorCode, resp.ErrorMessage = kerr.IllegalSaslState.Code, pointer("SaslAuthenticate without SaslHandshake")
		return server.Now(resp)
	}
	answer, done, user, err := s.exchange.Step(r.SASLAuthBytes)
	if err == nil && done {
		err = a.welcome(s, user)
	}
	if err != nil {
		s.stage, s.exchange = stageRejected, nil
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, pointer(err.Error())
		return delayed(server.Last(resp, fmt.Errorf("%s: %w", s.mechanism, err)))
	}
	resp.SASLAuthBytes = answer
	if done && a.cfg.SessionLifetime > 0 {
		resp.SessionLifetimeMillis = a.cfg.SessionLifetime.Milliseconds()
	}
	return server.Now(resp)
}

// welcome makes the client the user that it has proved to be.
func (a *API) welcome(s *session, user string) error {
	principal := "User:" + user
	if s.named && s.principal != principal {
		return errors.New("a connection cannot change its user")
	}
	s.principal, s.named, s.stage, s.exchange = principal, true, stageKnown, nil
	s.trusted = a.cfg.SuperUsers[principal]
	if a.cfg.SessionLifetime > 0 {
		s.expires = a.cfg.Now().Add(a.cfg.SessionLifetime)
	}
	return nil
}

// delayed has a reply wait, so that passwords are not tried fast.
func delayed(reply server.Reply) server.Reply {
	return func(ctx context.Context) (server.Response, error) {
		t := time.NewTimer(failureDelay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		return reply(ctx)
	}
}
