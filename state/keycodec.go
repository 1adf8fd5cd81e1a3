package state

import (
	"bytes"
	"errors"

	"github.com/millrace-io/millrace/serde"
)

var errNoPartition = errors.New("state: store opened without a partition")

// keyCodec is the serde of a store's keys. What it decodes never shares memory with the store.
type keyCodec[K any] struct {
	serde.Serde[K]
	copied bool // Decode may alias
}

func newKeyCodec[K any](s serde.Serde[K]) keyCodec[K] {
	c := keyCodec[K]{Serde: s}
	if a, ok := s.(serde.Aliaser); ok {
		c.copied = a.DecodeAliases()
	}
	return c
}

func (c *keyCodec[K]) decode(b []byte) (K, error) {
	if c.copied {
		b = bytes.Clone(b)
	}
	return c.Decode(b)
}
