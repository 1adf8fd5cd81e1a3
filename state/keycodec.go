package state

import (
	"bytes"
	"errors"

	"github.com/millrace-io/millrace/serde"
)

var errNoPartition = errors.New("state: store opened without a partition")

// keyCodec is the serde of a store's keys. What it decodes never shares memory with the store. It belongs to one goroutine.
type keyCodec[K any] struct {
	serde.Serde[K]
	copied bool                  // Decode may alias
	in     serde.ArenaDecoder[K] // of a serde that can decode many keys into one allocation; else nil
	arena  serde.Arena
}

func newKeyCodec[K any](s serde.Serde[K]) keyCodec[K] {
	c := keyCodec[K]{Serde: s}
	if a, ok := s.(serde.Aliaser); ok {
		c.copied = a.DecodeAliases()
	}
	c.in, _ = s.(serde.ArenaDecoder[K])
	return c
}

// decode decodes a key for somebody outside, who may keep it.
func (c *keyCodec[K]) decode(b []byte) (K, error) {
	if c.in != nil {
		return c.in.DecodeIn(&c.arena, b)
	}
	if c.copied {
		b = bytes.Clone(b)
	}
	return c.Decode(b)
}
