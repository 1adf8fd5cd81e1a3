package state

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// KeepHeaders makes a store keep headers beside each value and its time: those that Put and Entry.Set are given. Rows show them (KIP-1271). It
// is for key-value, window and session stores, and for the buffer of a suppression, which then knows the headers and times of old values as well.
//
// The changelog is that of a store without headers, byte for byte; the headers are those of its records, and a delete has those that it is
// given. So a store may be given the option later, or lose it: it is emptied once and rebuilt from its changelog, and rows that were written
// without the option have no headers. One that is not logged begins empty.
func KeepHeaders() SpecOption { return func(s *Spec) { s.KeepsHeaders = true } }

// MayKeepHeaders reports whether stores of the kind can be given KeepHeaders.
func (k Kind) MayKeepHeaders() bool {
	return k == KindKeyValue || k == KindWindow || k == KindSession || k == KindBuffer
}

// noHeaders are no headers, encoded.
var noHeaders = []byte{0}

// keptHeaders are the headers of a transaction's entries, encoded, of those that have some.
type keptHeaders struct {
	on     bool // the store keeps headers
	bare   bool // but none of those that writes are given
	bySlot map[layer.Slot][]byte
	bytes  int64
}

// put keeps headers, which it encodes at once, with an entry.
func (k *keptHeaders) put(s layer.Slot, h serde.Headers) {
	if !k.on {
		return
	}
	if k.bare || len(h.All()) == 0 {
		k.remove(s)
		return
	}
	k.set(s, keyschema.AppendHeaders(nil, h.All()))
}

// set keeps encoded headers, which become its own.
func (k *keptHeaders) set(s layer.Slot, encoded []byte) {
	if k.bySlot == nil {
		k.bySlot = make(map[layer.Slot][]byte)
	}
	k.bytes += int64(len(encoded) - len(k.bySlot[s]))
	k.bySlot[s] = encoded
}

func (k *keptHeaders) remove(s layer.Slot) {
	if encoded, ok := k.bySlot[s]; ok {
		k.bytes -= int64(len(encoded))
		delete(k.bySlot, s)
	}
}

// of returns the encoded headers of an entry.
func (k *keptHeaders) of(s layer.Slot) []byte {
	if encoded, ok := k.bySlot[s]; ok {
		return encoded
	}
	return noHeaders
}

func (k *keptHeaders) reset() {
	clear(k.bySlot)
	k.bytes = 0
}

// decodeHeaders reads encoded headers, which may be nil.
func decodeHeaders(b []byte) (serde.Headers, error) {
	if len(b) <= len(noHeaders) {
		return serde.Headers{}, nil
	}
	list, err := keyschema.ParseHeaders(b)
	return serde.NewHeaders(list), err
}

// headersAt returns the headers that are kept with an entry.
func (t *transaction[V]) headersAt(s layer.Slot) (serde.Headers, error) {
	h, err := decodeHeaders(t.kept.of(s))
	if err != nil {
		err = fmt.Errorf("store %s: headers of key %x: %w", t.below.id, t.table.Key(s), err)
	}
	return h, err
}

// appendStored appends what stands in front of a stored value: its headers, if the store keeps some, and its time (S-06, S-20).
func appendStored(dst []byte, keeps bool, headers []byte, timestamp int64) []byte {
	if keeps {
		dst = append(dst, headers...)
	}
	return binary.BigEndian.AppendUint64(dst, uint64(timestamp))
}

// splitHeaded takes stored bytes apart that have headers in front: headers, time (8), value.
func splitHeaded(b []byte) (headers []byte, ts int64, value []byte, err error) {
	headers, b, err = keyschema.CutHeaders(b)
	if err != nil {
		return nil, 0, nil, fmt.Errorf("headers of a stored value: %w", err)
	}
	ts, value, err = splitStored(b)
	return headers, ts, value, err
}

// split takes stored bytes apart, with headers or without.
func (t *transaction[V]) split(b []byte) (headers []byte, ts int64, value []byte, err error) {
	if t.kept.on {
		return splitHeaded(b)
	}
	ts, value, err = splitStored(b)
	return nil, ts, value, err
}

// rowAt is copyOf with the headers that are kept with the entry.
func (t *transaction[V]) rowAt(s layer.Slot) (v V, ts int64, h serde.Headers, ok bool, err error) {
	v, ts, ok, err = t.copyOf(s)
	if ok && err == nil {
		h, err = t.headersAt(s)
	}
	return v, ts, h, ok, err
}
