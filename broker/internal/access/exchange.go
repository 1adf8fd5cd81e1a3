package access

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrAuthentication is all that a client is told when an exchange fails (A4).
var ErrAuthentication = errors.New("authentication failed: invalid credentials")

// Finder returns a user's credential. Of a user who is not there it returns one with the iterations that such a user would be expected to
// have, and nothing else; none: MinIterations.
type Finder func(user string, m Mechanism) (Credential, bool)

// Exchange is the server's side of one SASL authentication. Messages of the client go in, those of the server come out. done says that
// user has proved who it is. An error ends the exchange.
type Exchange interface {
	Step(message []byte) (answer []byte, done bool, user string, err error)
}

// NewExchange begins an exchange of a mechanism. nonce is random text, and key a random secret that stays the same, by which users who
// are not there get a salt that does, too. ok is false if the mechanism is not known.
func NewExchange(mechanism string, find Finder, nonce string, key []byte) (x Exchange, ok bool) {
	if mechanism == Plain {
		return plainExchange{find, key}, true
	}
	m, ok := MechanismOf(mechanism)
	return &scramExchange{mechanism: m, find: find, nonce: nonce, key: key}, ok
}

// pretend returns a credential for a user who is not there, whose password nobody knows. It looks like that of one who is: so the
// iterations are those that others have.
func pretend(m Mechanism, key []byte, user string, iterations int32) Credential {
	return Credential{Mechanism: m, Iterations: max(iterations, MinIterations), Salt: mac(m, key, "salt "+user)[:16],
		StoredKey: mac(m, key, "stored "+user), ServerKey: mac(m, key, "server "+user)}
}

// plainExchange is PLAIN (RFC 4616), checked against what is kept for SCRAM.
type plainExchange struct {
	find Finder
	key  []byte
}

func (x plainExchange) Step(message []byte) ([]byte, bool, string, error) {
	parts := strings.Split(string(message), "\x00")
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
		return nil, false, "", fmt.Errorf("%w: malformed message", ErrAuthentication)
	}
	as, user, password := parts[0], parts[1], parts[2]
	if as != "" && as != user {
		return nil, false, "", fmt.Errorf("%w: nobody may act for another", ErrAuthentication)
	}
	c, found := x.find(user, SHA512)
	if !found {
		c, found = x.find(user, SHA256)
	}
	if !found {
		c = pretend(SHA512, x.key, user, c.Iterations)
	}
	if !c.Verify(password) || !found {
		return nil, false, "", ErrAuthentication
	}
	return []byte{}, true, user, nil
}

// scramExchange is SCRAM (RFC 5802) without channel binding.
type scramExchange struct {
	mechanism Mechanism
	find      Finder
	nonce     string // the server's, then both
	own       string // the client's
	key       []byte

	user       string
	found      bool
	credential Credential
	header     string // the client's first message up to its bare part
	signed     string // what both sides sign, without the client's last message
	steps      int
}

func (x *scramExchange) Step(message []byte) (answer []byte, done bool, user string, err error) {
	x.steps++
	switch x.steps {
	case 1:
		answer, err = x.first(string(message))
		return answer, false, "", err
	case 2:
		if answer, err = x.final(string(message)); err != nil {
			return nil, false, "", err
		}
		return answer, true, x.user, nil
	}
	return nil, false, "", fmt.Errorf("%w: the exchange is over", ErrAuthentication)
}

// first takes the client's first message: gs2 header, then user and nonce.
func (x *scramExchange) first(message string) ([]byte, error) {
	malformed := fmt.Errorf("%w: malformed message", ErrAuthentication)
	parts := strings.SplitN(message, ",", 3)
	if len(parts) != 3 || parts[0] != "n" && parts[0] != "y" {
		return nil, malformed // also where channel binding is asked for
	}
	x.header = parts[0] + "," + parts[1] + ","
	attributes := strings.Split(parts[2], ",")
	if len(attributes) < 2 || !strings.HasPrefix(attributes[0], "n=") || !strings.HasPrefix(attributes[1], "r=") || len(attributes[1]) == 2 {
		return nil, malformed // also where there is a mandatory extension
	}
	user, ok := unescape(attributes[0][2:])
	if !ok || user == "" {
		return nil, malformed
	}
	if as, ok := unescape(strings.TrimPrefix(parts[1], "a=")); !ok || as != "" && as != user {
		return nil, fmt.Errorf("%w: nobody may act for another", ErrAuthentication)
	}
	if slices.Contains(attributes[2:], "tokenauth=true") {
		return nil, fmt.Errorf("%w: there are no delegation tokens", ErrAuthentication)
	}
	x.user = user
	if x.credential, x.found = x.find(user, x.mechanism); !x.found {
		x.credential = pretend(x.mechanism, x.key, user, x.credential.Iterations)
	}
	x.own = attributes[1][2:]
	x.nonce = x.own + x.nonce
	answer := fmt.Sprintf("r=%s,s=%s,i=%d", x.nonce, base64.StdEncoding.EncodeToString(x.credential.Salt), x.credential.Iterations)
	x.signed = parts[2] + "," + answer
	return []byte(answer), nil
}

// final takes the client's proof and returns the server's.
func (x *scramExchange) final(message string) ([]byte, error) {
	at := strings.LastIndex(message, ",p=")
	if at < 0 {
		return nil, fmt.Errorf("%w: malformed message", ErrAuthentication)
	}
	attributes := strings.Split(message[:at], ",")
	binding := "c=" + base64.StdEncoding.EncodeToString([]byte(x.header))
	// librdkafka before 2.6.1 puts its own nonce before both. It is no less bound to this exchange, by the server's.
	if len(attributes) < 2 || attributes[0] != binding || attributes[1] != "r="+x.nonce && attributes[1] != "r="+x.own+x.nonce {
		return nil, fmt.Errorf("%w: another exchange's message", ErrAuthentication)
	}
	proof, err := base64.StdEncoding.DecodeString(message[at+3:])
	if err != nil || len(proof) != x.mechanism.size() {
		return nil, fmt.Errorf("%w: malformed message", ErrAuthentication)
	}
	signed := x.signed + "," + message[:at]
	signature := mac(x.mechanism, x.credential.StoredKey, signed)
	for i := range proof {
		proof[i] ^= signature[i] // the client key, if it is the client
	}
	if !hmac.Equal(digest(x.mechanism, proof), x.credential.StoredKey) || !x.found {
		return nil, ErrAuthentication
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(x.mechanism, x.credential.ServerKey, signed))), nil
}

// unescape undoes the escapes of names: "=2C" is a comma, "=3D" an equals sign, and no other may be there.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for {
		at := strings.IndexByte(s, '=')
		if at < 0 {
			b.WriteString(s)
			return b.String(), true
		}
		b.WriteString(s[:at])
		switch {
		case strings.HasPrefix(s[at:], "=2C"):
			b.WriteByte(',')
		case strings.HasPrefix(s[at:], "=3D"):
			b.WriteByte('=')
		default:
			return "", false
		}
		s = s[at+3:]
	}
}
