package serde

// Arena hands out memory for decoded values, many from one allocation, so that reading a record allocates next to nothing. What it
// hands out is never reused: it lives as long as somebody refers to it, and until then so does the chunk of 1 KiB that it was cut from.
// The zero value is ready; an Arena belongs to one goroutine.
type Arena struct{ free []byte }

const (
	arenaChunk = 1 << 10
	// arenaLargest is what is still cut from a chunk. More has an allocation of its own: it would waste the chunk's end.
	arenaLargest = arenaChunk / 4
)

// Copy returns a copy of src, empty but not nil if src is empty. Nothing can be appended to it in place.
func (a *Arena) Copy(src []byte) []byte {
	n := len(src)
	if n > len(a.free) || a.free == nil {
		if n > arenaLargest {
			return append(make([]byte, 0, n), src...)
		}
		a.free = make([]byte, arenaChunk)
	}
	c := a.free[:n:n]
	a.free = a.free[n:]
	copy(c, src)
	return c
}

// ArenaDecoder is implemented by a serde that can decode into memory of an Arena.
type ArenaDecoder[T any] interface {
	// DecodeIn is Decode, but what it returns may be cut from a.
	DecodeIn(a *Arena, src []byte) (T, error)
}
