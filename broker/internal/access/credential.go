package access

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
)

// Mechanism is a SCRAM mechanism, by Kafka's number.
type Mechanism int8

// The mechanisms that passwords are kept for.
const (
	SHA256 Mechanism = 1
	SHA512 Mechanism = 2
)

// Names of SASL mechanisms.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// The iterations that a credential may have (KIP-84), and those that ours get.
const (
	MinIterations     = 4096
	MaxIterations     = 16384
	DefaultIterations = 8192
)

// Known reports whether m is one of the mechanisms.
func (m Mechanism) Known() bool { return m == SHA256 || m == SHA512 }

// String returns the mechanism's SASL name.
func (m Mechanism) String() string {
	switch m {
	case SHA256:
		return ScramSHA256
	case SHA512:
		return ScramSHA512
	}
	return fmt.Sprintf("mechanism %d", int8(m))
}

func (m Mechanism) hash() func() hash.Hash {
	if m == SHA512 {
		return sha512.New
	}
	return sha256.New
}

func (m Mechanism) size() int { return m.hash()().Size() }

// Credential is what is kept of a password (A3).
type Credential struct {
	Mechanism  Mechanism
	Iterations int32
	Salt       []byte
	StoredKey  []byte
	ServerKey  []byte
}

// NewCredential makes a credential of a salted password, which is what AlterUserScramCredentials sends.
func NewCredential(m Mechanism, iterations int32, salt, salted []byte) Credential {
	return Credential{Mechanism: m, Iterations: iterations, Salt: salt,
		StoredKey: digest(m, mac(m, salted, "Client Key")), ServerKey: mac(m, salted, "Server Key")}
}

// CredentialOf makes a credential of a password.
func CredentialOf(m Mechanism, iterations int32, salt []byte, password string) Credential {
	return NewCredential(m, iterations, salt, saltPassword(m, iterations, salt, password))
}

// Verify reports whether it is the password.
func (c Credential) Verify(password string) bool {
	got := digest(c.Mechanism, mac(c.Mechanism, saltPassword(c.Mechanism, c.Iterations, c.Salt, password), "Client Key"))
	return hmac.Equal(got, c.StoredKey)
}

func saltPassword(m Mechanism, iterations int32, salt []byte, password string) []byte {
	key, err := pbkdf2.Key(m.hash(), password, salt, int(iterations), m.size())
	if err != nil {
		// Only in FIPS mode, for a short salt or password: no password matches then.
		return make([]byte, m.size())
	}
	return key
}

func mac[T string | []byte](m Mechanism, key []byte, message T) []byte {
	h := hmac.New(m.hash(), key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

func digest(m Mechanism, b []byte) []byte {
	h := m.hash()()
	h.Write(b)
	return h.Sum(nil)
}

// MechanismOf returns the SCRAM mechanism of a SASL name.
func MechanismOf(name string) (Mechanism, bool) {
	switch name {
	case ScramSHA256:
		return SHA256, true
	case ScramSHA512:
		return SHA512, true
	}
	return 0, false
}
