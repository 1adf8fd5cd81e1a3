package broker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/broker/internal/access"
)

// The SASL mechanisms that Security.Mechanisms may have.
const (
	Plain       = access.Plain
	ScramSHA256 = access.ScramSHA256
	ScramSHA512 = access.ScramSHA512
)

// User is a user with a password. Printed or logged, it does not show the password.
type User struct{ Name, Password string }

// String returns the name.
func (u User) String() string { return u.Name }

// GoString returns the name.
func (u User) GoString() string { return u.Name }

// LogValue returns the name.
func (u User) LogValue() slog.Value { return slog.StringValue(u.Name) }

// Security says who may connect and do what. The zero value asks nobody for anything, and is meant for loopback; see AllowInsecure.
//
// Clients that come through Broker.Dial are part of this process and may do everything, unless they authenticate as somebody.
type Security struct {
	// TLS encrypts what comes over TCP; nil: nothing is (ssl.keystore.*, ssl.truststore.*, ssl.client.auth). With
	// ClientAuth = tls.RequireAndVerifyClientCert, and no Mechanisms, a client is User: and the subject of its certificate, such as
	// "User:CN=alice,O=Example".
	TLS *tls.Config
	// Mechanisms are the SASL mechanisms of which a client over TCP has to use one (sasl.enabled.mechanisms): Plain, ScramSHA256,
	// ScramSHA512. Default: none, clients are User:ANONYMOUS.
	Mechanisms []string
	// Users are given their passwords when the broker opens, whatever they had before. Others are made by clients
	// (kafka-configs --alter --add-config 'SCRAM-SHA-512=[password=…]') and kept in the log; so are these, salted and hashed. Who is
	// taken out of the list stays until a client deletes the credential.
	Users []User
	// SessionLifetime is after how long a client has to authenticate again (connections.max.reauth.ms). Default: never.
	SessionLifetime time.Duration

	// Authorize has every request checked against access control lists, with Kafka's rules: denials first, literal and prefixed
	// names, what nobody allows is denied. Clients make and delete them (kafka-acls); they are kept in the log.
	Authorize bool
	// SuperUsers are principals that may do everything (super.users), such as "User:admin".
	SuperUsers []string
	// AllowIfNoACL lets everybody do everything with resources that no list is about (allow.everyone.if.no.acl.found).
	AllowIfNoACL bool

	// AllowInsecure permits what is refused without it: to listen on another than a loopback address without authentication, or with
	// PLAIN, whose messages are passwords, and without TLS.
	AllowInsecure bool

	// MaxConnectionsPerAddress bounds the connections of one client address that is not loopback (max.connections.per.ip). Default: 100;
	// -1: no bound but MaxConnections.
	MaxConnectionsPerAddress int
	// MaxConnectionRate bounds the new connections of one such address in a second. Default: 20; -1: no bound.
	MaxConnectionRate int
}

// validate reports every fault, given the address that is listened on.
func (s *Security) validate(listen string) (errs []error) {
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("broker: Security."+format, args...)) }
	for _, m := range s.Mechanisms {
		if m != Plain && m != ScramSHA256 && m != ScramSHA512 {
			fault("Mechanisms: %q is not %s, %s or %s", m, Plain, ScramSHA256, ScramSHA512)
		}
	}
	for _, u := range s.Users {
		if u.Name == "" || u.Password == "" {
			fault("Users: user %q: name or password is empty", u.Name)
		}
	}
	for _, p := range s.SuperUsers {
		if name, ok := strings.CutPrefix(p, "User:"); !ok || name == "" {
			fault(`SuperUsers: %q is not "User:" and a name`, p)
		}
	}
	if s.SessionLifetime < 0 {
		fault("SessionLifetime %v is negative", s.SessionLifetime)
	}
	if s.MaxConnectionsPerAddress < -1 || s.MaxConnectionRate < -1 {
		fault("MaxConnectionsPerAddress %d or MaxConnectionRate %d is below -1", s.MaxConnectionsPerAddress, s.MaxConnectionRate)
	}
	if s.TLS != nil && len(s.TLS.Certificates) == 0 && s.TLS.GetCertificate == nil && s.TLS.GetConfigForClient == nil {
		fault("TLS has no certificate")
	}
	if listen == "" || isLoopback(listen) || s.AllowInsecure {
		return errs
	}
	if !s.authenticates() {
		fault("AllowInsecure is needed to listen on %s, which is not loopback, without authentication: set Mechanisms, or client certificates in TLS", listen)
	}
	if s.TLS == nil && slices.Contains(s.Mechanisms, Plain) {
		fault("AllowInsecure is needed to take passwords on %s without TLS", listen)
	}
	return errs
}

// authenticates reports whether clients over TCP have to say who they are.
func (s *Security) authenticates() bool {
	return len(s.Mechanisms) > 0 || s.TLS != nil && s.TLS.ClientAuth == tls.RequireAndVerifyClientCert
}

// isLoopback reports whether an address to listen on can be reached from this machine only.
func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return true // told elsewhere
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// superUsers returns the super users as a set.
func (s *Security) superUsers() map[string]bool {
	all := make(map[string]bool, len(s.SuperUsers))
	for _, p := range s.SuperUsers {
		all[p] = true
	}
	return all
}

// limit returns a bound that is on by default and switched off by -1, for which the server has 0.
func limit(configured, fallback int) int {
	switch configured {
	case 0:
		return fallback
	case -1:
		return 0
	}
	return configured
}

// addUsers gives the configured users their passwords, for both mechanisms, durably. A password that is theirs already changes nothing.
func (b *Broker) addUsers(ctx context.Context) error {
	if len(b.cfg.Security.Users) == 0 {
		return nil
	}
	var fault error
	lsn, err := b.coord.ChangeAccess(func(s *access.State) (changes [][]byte) {
		draft := s.Draft()
		for _, u := range b.cfg.Security.Users {
			for _, m := range []access.Mechanism{access.SHA256, access.SHA512} {
				if c, ok := s.Credential(u.Name, m); ok && c.Verify(u.Password) {
					continue
				}
				salt := make([]byte, 16)
				rand.Read(salt) // never fails
				change, err := draft.SetCredential(u.Name, access.CredentialOf(m, access.DefaultIterations, salt, u.Password))
				if err != nil {
					fault = errors.Join(fault, fmt.Errorf("user %s: %w", u.Name, err))
					continue
				}
				changes = append(changes, change)
			}
		}
		return changes
	})
	if err == nil {
		err = b.log.Wait(ctx, lsn)
	}
	return errors.Join(fault, err)
}
