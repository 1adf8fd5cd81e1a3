package api

// SaslHandshake, key 17, versions 0-1.
//
//	1  what follows are SaslAuthenticate requests (KIP-152)
//
// A client that knows who it is may begin again, to go on for longer (KIP-368). Left out: what follows version 0, messages of the
// mechanism without a request around them, which end the connection.

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/server"
)

// Keys that are answered before authentication.
const (
	keySaslHandshake    = 17
	keyAPIVersions      = 18
	keySaslAuthenticate = 36
)

func (a *API) saslHandshake(req *server.Request, r *kmsg.SASLHandshakeRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
	s := a.sessionOf(req.Peer)
	if len(a.cfg.Mechanisms) == 0 || s.stage == stageExchanging {
		resp.ErrorCode = kerr.IllegalSaslState.Code
		return server.Now(resp)
	}
	resp.SupportedMechanisms = a.cfg.Mechanisms
	var ok bool
	if slices.Contains(a.cfg.Mechanisms, r.Mechanism) {
		s.exchange, ok = access.NewExchange(r.Mechanism, a.coord.Credential, rand.Text(), a.saltKey)
	}
	if !ok {
		s.stage = stageRejected
		resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		return server.Last(resp, fmt.Errorf("SASL mechanism %.40q is not offered", r.Mechanism))
	}
	s.stage, s.mechanism = stageExchanging, r.Mechanism
	return server.Now(resp)
}
