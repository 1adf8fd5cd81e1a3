package operator

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/millrace-io/millrace/serde"
)

// The messages of a foreign-key join, in Kafka's formats (D-132).

// instruction says what a subscription asks of the right side.
type instruction byte

const (
	deleteSilently  instruction = iota // end the subscription, no answer
	deleteAndAnswer                    // end the subscription, answer with no row
	answerAlways                       // subscribe, answer with the row or with none
	answerIfPresent                    // subscribe, answer if there is a row
)

// Subscription is what a row of the left table asks of the right table. It is plain, so that a store keeps it as it is.
type Subscription struct {
	primary     string // the encoded key of the left row
	hash        fingerprint
	instruction instruction
	partition   int32 // of the left row: where the answer goes
}

// String shows the subscription: primary key, instruction under Kafka's name, hash.
func (s Subscription) String() string {
	hash := "null"
	if s.hash.row {
		hash = hex.EncodeToString(s.hash.sum[:])
	}
	return fmt.Sprintf("%s %v %s", s.primary, s.instruction, hash)
}

func (i instruction) String() string {
	switch i {
	case deleteSilently:
		return "DELETE_KEY_NO_PROPAGATE"
	case deleteAndAnswer:
		return "DELETE_KEY_AND_PROPAGATE"
	case answerAlways:
		return "PROPAGATE_NULL_IF_NO_FK_VAL_AVAILABLE"
	case answerIfPresent:
		return "PROPAGATE_ONLY_IF_FK_VAL_AVAILABLE"
	}
	return fmt.Sprintf("instruction %d", byte(i))
}

// fingerprint is the hash of an encoded left row. Only an answer to the row as it is now counts (D-135).
type fingerprint struct {
	sum [16]byte
	row bool // false: there is no row
}

// Response is the answer to a subscription: the right row, if there is one.
type Response[W any] struct {
	hash      fingerprint
	row       serde.Maybe[W]
	partition int32 // of the left row; not part of the message
}

const (
	subscriptionVersion = 1
	responseVersion     = 0
	noRow               = 0x80 // bit of the version: there is no hash
)

func (f fingerprint) append(dst []byte, version byte) []byte {
	if !f.row {
		return append(dst, version|noRow)
	}
	return append(dst, version)
}

// Subscriptions is the form of subscriptions: version, instruction, hash if there is one, primary key, partition (4).
var Subscriptions serde.Serde[Subscription] = subscriptionSerde{}

type subscriptionSerde struct{}

func (subscriptionSerde) Append(dst []byte, s Subscription) ([]byte, error) {
	dst = s.hash.append(dst, subscriptionVersion)
	dst = append(dst, byte(s.instruction))
	if s.hash.row {
		dst = append(dst, s.hash.sum[:]...)
	}
	dst = append(dst, s.primary...)
	return binary.BigEndian.AppendUint32(dst, uint32(s.partition)), nil
}

func (subscriptionSerde) Decode(b []byte) (s Subscription, err error) {
	if len(b) < 2 {
		return s, fmt.Errorf("decode subscription: %d bytes", len(b))
	}
	version := b[0] &^ noRow
	s.hash.row, s.instruction = b[0]&noRow == 0, instruction(b[1])
	rest := b[2:]
	if s.hash.row {
		if len(rest) < len(s.hash.sum) {
			return s, fmt.Errorf("decode subscription: %d bytes end within the hash", len(b))
		}
		rest = rest[copy(s.hash.sum[:], rest):]
	}
	switch {
	case version > subscriptionVersion:
		return s, fmt.Errorf("decode subscription: version %d, known are those up to %d; was it written by a newer program?", version, subscriptionVersion)
	case s.instruction > answerIfPresent:
		return s, fmt.Errorf("decode subscription: instruction %d is unknown", s.instruction)
	case version == 0: // without a partition: Kafka Streams before 3.2
	case len(rest) < 4:
		return s, fmt.Errorf("decode subscription: %d bytes end within the partition", len(b))
	default:
		s.partition = int32(binary.BigEndian.Uint32(rest[len(rest)-4:]))
		rest = rest[:len(rest)-4]
	}
	s.primary = string(rest)
	return s, nil
}

// Responses is the form of answers: version, hash if there is one, right row. A right row of no bytes is the same as none, as it is
// in Kafka Streams.
func Responses[W any](row serde.Serde[W]) serde.Serde[Response[W]] { return responseSerde[W]{row} }

type responseSerde[W any] struct{ row serde.Serde[W] }

func (s responseSerde[W]) Append(dst []byte, r Response[W]) ([]byte, error) {
	b := r.hash.append(dst, responseVersion)
	if r.hash.row {
		b = append(b, r.hash.sum[:]...)
	}
	w, ok := r.row.Get()
	if !ok {
		return b, nil
	}
	b, err := s.row.Append(b, w)
	if err != nil {
		return dst, err
	}
	return b, nil
}

func (s responseSerde[W]) Decode(b []byte) (r Response[W], err error) {
	if len(b) == 0 {
		return r, fmt.Errorf("decode response: no bytes")
	}
	if version := b[0] &^ noRow; version != responseVersion {
		return r, fmt.Errorf("decode response: version %d, want %d", version, responseVersion)
	}
	r.hash.row = b[0]&noRow == 0
	rest := b[1:]
	if r.hash.row {
		if len(rest) < len(r.hash.sum) {
			return r, fmt.Errorf("decode response: %d bytes end within the hash", len(b))
		}
		rest = rest[copy(r.hash.sum[:], rest):]
	}
	if len(rest) == 0 {
		return r, nil
	}
	w, err := s.row.Decode(rest)
	if err != nil {
		return r, fmt.Errorf("decode response: %w", err)
	}
	r.row = serde.Some(w)
	return r, nil
}

// DecodeAliases implements serde.Aliaser.
func (s responseSerde[W]) DecodeAliases() bool {
	a, ok := s.row.(serde.Aliaser)
	return ok && a.DecodeAliases()
}

// appendForeign appends what the keys of all subscriptions to a foreign key begin with: its length (4) and itself. The primary key
// follows (D-136).
func appendForeign[FK any](dst []byte, key serde.Serde[FK], foreign FK) ([]byte, error) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	b, err := key.Append(dst, foreign)
	if err != nil {
		return dst, err
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b, nil
}
