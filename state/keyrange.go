package state

import (
	"bytes"
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/keyschema"
)

// keyRange is a range of the encoded keys of a store of windows or sessions: lo <= key <= hi.
type keyRange struct {
	lo, hi []byte // a nil hi is open
}

// rangeOf encodes a range of keys. An absent bound is open (S-03).
func rangeOf[K any](ks *keyCodec[K], lo, hi serde.Maybe[K]) (r keyRange, err error) {
	if k, ok := lo.Get(); ok {
		if r.lo, err = ks.Append(nil, k); err != nil {
			return r, fmt.Errorf("encode lower bound: %w", err)
		}
	}
	if k, ok := hi.Get(); ok {
		if r.hi, err = ks.Append([]byte{}, k); err != nil {
			return r, fmt.Errorf("encode upper bound: %w", err)
		}
	}
	return r, nil
}

// only returns the range of one key.
func only[K any](ks *keyCodec[K], key K) (keyRange, error) {
	enc, err := ks.Append([]byte{}, key)
	if err != nil {
		return keyRange{}, fmt.Errorf("encode key: %w", err)
	}
	return keyRange{enc, enc}, nil
}

func (r *keyRange) has(enc []byte) bool {
	return bytes.Compare(enc, r.lo) >= 0 && (r.hi == nil || bytes.Compare(enc, r.hi) <= 0)
}

// empty reports whether no key is in r.
func (r *keyRange) empty() bool { return r.hi != nil && bytes.Compare(r.lo, r.hi) > 0 }

// span returns a span of a bucket that has all entries whose keys are in r and whose times in from <= time <= to. It has others, too, if
// keys begin with each other (S-16): the time of one may sort behind what another goes on with.
func (r *keyRange) span(b keyschema.Bucket, from, to int64) span {
	lo := append(keyschema.AppendBucket(nil, b), r.lo...)
	switch {
	case r.hi == nil:
		return span{bucket: b, lo: lo, hi: keyschema.Successor(keyschema.AppendBucket(nil, b))}
	case bytes.Equal(r.lo, r.hi):
		return span{bucket: b, lo: keyschema.AppendStart(bytes.Clone(lo), from), hi: keyschema.Successor(keyschema.AppendStart(lo, to))}
	}
	// The last entry is of hi, or of a key that hi begins with.
	var last, next []byte
	for n := range len(r.hi) + 1 {
		if bytes.Compare(r.hi[:n], r.lo) < 0 {
			continue
		}
		next = keyschema.AppendStart(append(keyschema.AppendBucket(next[:0], b), r.hi[:n]...), to)
		if bytes.Compare(next, last) > 0 {
			last, next = next, last
		}
	}
	return span{bucket: b, lo: lo, hi: keyschema.Successor(last)}
}
