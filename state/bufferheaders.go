package state

import (
	"bytes"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
)

// Kafka Streams' names of the headers that a buffer's changelog records have. The last two are those of stores that keep headers: what stands in
// front of a stored value, headers and time, of the prior and of the old value, whose plain bytes are in the record's value. A reader that does
// not know them leaves them out.
const (
	versionHeader = "v"
	priorHeader   = "vh.prior"
	oldHeader     = "vh.old"
)

// parts are the headers and times of the values that wait in a buffer which keeps headers.
type parts struct {
	kept       bool
	prior, old []byte // as appendStored writes them; nil if the value is absent
}

// front returns the headers and the time of the new value: those of the record that brought it.
func (v *bufferedValue) front() []byte {
	return appendStored(nil, true, keyschema.AppendHeaders(nil, v.headers), v.timestamp)
}

// unknownFront is the front of a value that was there before the buffer knew its key.
func unknownFront() []byte { return appendStored(nil, true, noHeaders, -1) }

// follow notes the headers and times of a change's old value and of the prior one, given what has waited until now, if anything has.
func (v *bufferedValue) follow(waiting *bufferedValue, waits bool) {
	v.parts.kept = true
	if v.old != nil {
		v.parts.old = unknownFront()
		if waits && waiting.value != nil {
			v.parts.old = waiting.front() // the old value is the one that has waited
		}
	}
	if waits {
		v.parts.prior = waiting.parts.prior
	} else {
		v.parts.prior = v.parts.old
	}
}

// samePart reports whether the prior value is the old one, its headers and time included.
func (v *bufferedValue) samePart() bool {
	return v.repeats() && bytes.Equal(v.parts.prior, v.parts.old)
}

// changelogHeaders returns the headers of the record that says v.
func (v *bufferedValue) changelogHeaders() serde.Headers {
	list := []serde.Header{{Key: versionHeader, Value: []byte{bufferVersion}}}
	if v.prior != nil && !v.samePart() {
		list = append(list, serde.Header{Key: priorHeader, Value: v.parts.prior})
	}
	if v.old != nil {
		list = append(list, serde.Header{Key: oldHeader, Value: v.parts.old})
	}
	return serde.NewHeaders(list)
}

// readParts takes headers and times from what changelogHeaders wrote. In records of a store that kept none they are missing: then the values have
// no headers, and the time of the last change.
func (v *bufferedValue) readParts(h serde.Headers) {
	unknown := appendStored(nil, true, noHeaders, v.timestamp)
	of := func(key string) []byte {
		if front, ok := h.Last(key); ok {
			return front
		}
		return unknown
	}
	v.parts.kept = true
	if v.old != nil {
		v.parts.old = of(oldHeader)
	}
	if v.prior == nil {
		return
	}
	if _, ok := h.Last(priorHeader); !ok && v.repeats() {
		v.parts.prior = v.parts.old
		return
	}
	v.parts.prior = of(priorHeader)
}

// partsSize is what headers and times of values count against a bound of bytes, beside the values.
func (v *bufferedValue) partsSize() int {
	n := len(v.parts.prior)
	if !v.samePart() {
		n += len(v.parts.old)
		if v.repeats() {
			n += len(v.old) // which is then there twice
		}
	}
	if v.value != nil {
		n += len(v.front())
	}
	return n
}
