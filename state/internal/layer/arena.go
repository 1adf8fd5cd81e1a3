package layer

import (
	"encoding/binary"
	"math/bits"
)

// Arena hands out blocks of bytes from chunks that the garbage collector does not look into. A freed block is used again for
// the same size class; chunks go back to Go only with the arena, or at a Reset. The zero Arena is empty.
type Arena struct {
	chunks [][]byte
	at     int          // the chunk that blocks are taken from; those behind it are empty
	free   [classes]Ref // head of a list per class; a free block begins with the next Ref
	large  [][]byte     // blocks above maxBlock, one allocation each
	holes  []int        // free places in large
	used   int64        // bytes in blocks that are out, rounded up to their classes
}

// Ref names a block. The zero Ref is none.
type Ref uint64

const (
	minBlock   = 8
	fineBlock  = 128 // up to here classes are 8 bytes apart, from here on four to a doubling
	maxBlock   = 64 << 10
	firstChunk = 1 << 10
	maxChunk   = 1 << chunkBits
	chunkBits  = 20

	fineClasses = fineBlock / minBlock
	classes     = fineClasses + 4*9 // 128 B to 64 KiB

	largeBit Ref = 1 << 63
)

// class returns the size class of n bytes, and the size of its blocks. n is at most maxBlock.
func class(n int) (c, size int) {
	if n <= fineBlock {
		c = max(n-1, 0) / minBlock
		return c, (c + 1) * minBlock
	}
	// n-1 lies in [2^e, 2^(e+1)), which is split into quarters.
	e := bits.Len(uint(n-1)) - 1
	quarter := (n - 1 - 1<<e) >> (e - 2)
	return fineClasses + 4*(e-7) + quarter, 1<<e + (quarter+1)<<(e-2)
}

// blockCap returns how many bytes a block holds that was allocated for n bytes.
func blockCap(n int) int {
	if n > maxBlock {
		return n
	}
	_, size := class(n)
	return size
}

// Alloc returns a block of at least n bytes. Its content is undefined.
func (a *Arena) Alloc(n int) Ref {
	if n > maxBlock {
		return a.allocLarge(n)
	}
	c, size := class(n)
	a.used += int64(size)
	if r := a.free[c]; r != 0 {
		a.free[c] = Ref(binary.LittleEndian.Uint64(a.Bytes(r, minBlock)))
		return r
	}
	for a.at < len(a.chunks) && cap(a.chunks[a.at])-len(a.chunks[a.at]) < size {
		a.at++ // what remains of a chunk, less than a block, is left
	}
	if a.at == len(a.chunks) {
		next := min(firstChunk<<min(len(a.chunks), chunkBits), maxChunk)
		a.chunks = append(a.chunks, make([]byte, 0, max(next, size)))
	}
	off := len(a.chunks[a.at])
	a.chunks[a.at] = a.chunks[a.at][:off+size]
	return Ref(a.at+1)<<chunkBits | Ref(off)
}

func (a *Arena) allocLarge(n int) Ref {
	a.used += int64(n)
	if h := len(a.holes) - 1; h >= 0 {
		i := a.holes[h]
		a.holes = a.holes[:h]
		a.large[i] = make([]byte, n)
		return largeBit | Ref(i)
	}
	a.large = append(a.large, make([]byte, n))
	return largeBit | Ref(len(a.large)-1)
}

// Free takes back a block that was allocated for n bytes.
func (a *Arena) Free(r Ref, n int) {
	if r&largeBit != 0 {
		i := int(r &^ largeBit)
		a.large[i] = nil
		a.holes = append(a.holes, i)
		a.used -= int64(n)
		return
	}
	c, size := class(n)
	binary.LittleEndian.PutUint64(a.Bytes(r, minBlock), uint64(a.free[c]))
	a.free[c] = r
	a.used -= int64(size)
}

// Bytes returns the first n bytes of a block. They are valid until the block is freed.
func (a *Arena) Bytes(r Ref, n int) []byte {
	if r&largeBit != 0 {
		return a.large[r&^largeBit][:n:n]
	}
	off := int(r & (maxChunk - 1))
	return a.chunks[r>>chunkBits-1][off : off+n : off+n]
}

// Reset takes back all blocks. It keeps the chunks if a good part of them was in use, so that an arena which is filled and emptied in turn
// settles on what it needs.
func (a *Arena) Reset() {
	filled, room := 0, 0
	for _, c := range a.chunks {
		filled, room = filled+len(c), room+cap(c)
	}
	if seldom(filled, room) {
		*a = Arena{}
		return
	}
	for i, c := range a.chunks {
		a.chunks[i] = c[:0]
	}
	*a = Arena{chunks: a.chunks}
}

// seldom reports whether memory is worth giving up of which so little was used.
func seldom(used, room int) bool { return 4*used < room }

// Used returns the bytes in blocks that are out.
func (a *Arena) Used() int64 { return a.used }
