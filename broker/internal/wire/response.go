package wire

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// AppendResponseHeader appends the length prefix and header of a response whose body has bodyLen bytes.
// An ApiVersions response always has header version 0, so that a client that knows nothing yet can read it.
func AppendResponseHeader(dst []byte, h Header, flexible bool, bodyLen int) []byte {
	tags := flexible && h.Key != KeyApiVersions
	n := 4 + bodyLen
	if tags {
		n++
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.CorrelationID))
	if tags {
		dst = append(dst, 0)
	}
	return dst
}

// AppendResponse appends a whole response frame.
func AppendResponse(dst []byte, h Header, resp kmsg.Response) []byte {
	start := len(dst)
	dst = AppendResponseHeader(dst, h, resp.IsFlexible(), 0)
	dst = resp.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}
