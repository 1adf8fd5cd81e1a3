package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// KeyApiVersions is the one key that is answered at any version.
const KeyApiVersions = 18

// ErrUnserved is wrapped for a key or version that is not served.
var ErrUnserved = errors.New("unserved request")

// Range is the versions of a key that are served, inclusive.
type Range struct{ Min, Max int16 }

// Header is a request header (versions 1 and 2).
type Header struct {
	Key, Version  int16
	CorrelationID int32
	// ClientID is empty if it was null.
	ClientID string
}

// Request is one decoded request.
type Request struct {
	Header
	// Body is nil only for an ApiVersions request of a version that is not served.
	Body kmsg.Request
}

// Decode reads one frame. served says which versions of a key there are handlers for. Record bytes in the result alias
// frame; everything else is a copy.
//
// The error wraps ErrUnserved or ErrMalformed; the header is returned with it as far as it could be read.
func Decode(frame []byte, served func(key int16) (Range, bool)) (Request, error) {
	h, rest, err := decodeHeader(frame)
	req := Request{Header: h}
	if err != nil {
		return req, err
	}
	versions, ok := served(h.Key)
	s := schemas[h.Key]
	if !ok || s == nil {
		return req, fmt.Errorf("%w: key %d", ErrUnserved, h.Key)
	}
	if h.Version < versions.Min || h.Version > versions.Max {
		if h.Key == KeyApiVersions {
			return req, nil
		}
		return req, fmt.Errorf("%w: key %d version %d, served %d-%d", ErrUnserved, h.Key, h.Version, versions.Min, versions.Max)
	}
	if h.Version >= s.flexible {
		if rest, err = skipTags(rest); err != nil {
			return req, fmt.Errorf("header of key %d version %d: %w", h.Key, h.Version, err)
		}
	}
	if err := guard(s, h.Version, rest); err != nil {
		return req, fmt.Errorf("key %d version %d: %w", h.Key, h.Version, err)
	}
	body := kmsg.RequestForKey(h.Key)
	body.SetVersion(h.Version)
	if err := body.ReadFrom(rest); err != nil {
		return req, fmt.Errorf("key %d version %d: %w: %w", h.Key, h.Version, ErrMalformed, err)
	}
	req.Body = body
	return req, nil
}

// decodeHeader reads a request header up to and including the client id; what follows depends on the key's schema.
func decodeHeader(src []byte) (h Header, rest []byte, err error) {
	const fixedPart = 2 + 2 + 4 + 2
	if len(src) < fixedPart {
		return h, nil, fmt.Errorf("%w: header of %d bytes", ErrMalformed, len(src))
	}
	h.Key = int16(binary.BigEndian.Uint16(src))
	h.Version = int16(binary.BigEndian.Uint16(src[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(src[4:]))
	n := int(int16(binary.BigEndian.Uint16(src[8:])))
	rest = src[fixedPart:]
	if n < -1 || n > len(rest) {
		return h, nil, fmt.Errorf("%w: client id of %d bytes", ErrMalformed, n)
	}
	if n > 0 {
		h.ClientID, rest = string(rest[:n]), rest[n:]
	}
	return h, rest, nil
}

// skipTags passes over the tag section of a flexible header; no tag in it means anything to a broker.
func skipTags(src []byte) ([]byte, error) {
	w := walker{src: src, flexible: true, budget: maxTags * tagCost}
	w.structTags(nil)
	return w.src, w.err
}
