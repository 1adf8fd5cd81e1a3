package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

// indexInterval is how many bytes of a segment one index entry stands for, at least. A read has to walk over half of that on
// average to find its first batch.
const indexInterval = 16 << 10

const (
	indexMagic      = "MRINDEX1"
	indexHeaderSize = 8 + 4 + 4
)

// segmentIndex says where things are in a segment. It lives in memory for the segment that is written, in the snapshot beside
// it, and in a file once the segment is sealed. It can be rebuilt from the segments.
type segmentIndex struct {
	blocks  []block
	aborted []abortedTxn // by the offset of the abort marker, which is in this segment
}

// block is a run of batches: from the entry's place to the next entry's.
type block struct {
	offset   int64 // of the first batch
	position int64 // of it
	maxTime  int64 // of all batches
	places   uint32
	// places is a checksum of the 17 bytes of each batch that its own checksum does not cover (S10)
}

// abortedTxn is an aborted transaction, from its first batch to its marker.
type abortedTxn struct {
	producer    int64
	first, last int64
}

// coveredBy reports whether o is the same transaction, begun here or earlier.
func (a abortedTxn) coveredBy(o abortedTxn) bool {
	return o.producer == a.producer && o.last == a.last && o.first <= a.first
}

// add notes a batch that was written at a position.
func (x *segmentIndex) add(b *tailBatch, position int64) {
	if n := len(x.blocks); n == 0 || position-x.blocks[n-1].position >= indexInterval {
		x.blocks = append(x.blocks, block{offset: b.base, position: position, maxTime: b.maxTime})
	}
	k := &x.blocks[len(x.blocks)-1]
	k.maxTime = max(k.maxTime, b.maxTime)
	k.places = batch.PlaceChecksum(k.places, b.raw)
}

// block returns the index of the block that holds offset. There is one for every offset in the segment.
func (x *segmentIndex) block(offset int64) int {
	return max(0, sort.Search(len(x.blocks), func(i int) bool { return x.blocks[i].offset > offset })-1)
}

// blockFrom returns the first block at or after i with a time of at least ts, or -1.
func (x *segmentIndex) blockFrom(i int, ts int64) int {
	for ; i < len(x.blocks); i++ {
		if x.blocks[i].maxTime >= ts {
			return i
		}
	}
	return -1
}

// append encodes the index as differences from one entry to the next.
func (x *segmentIndex) append(b []byte, base int64) []byte {
	b = binary.AppendUvarint(b, uint64(len(x.blocks)))
	last := block{offset: base}
	for _, k := range x.blocks {
		b = binary.AppendUvarint(b, uint64(k.offset-last.offset))
		b = binary.AppendUvarint(b, uint64(k.position-last.position))
		b = binary.AppendVarint(b, k.maxTime-last.maxTime)
		b = binary.LittleEndian.AppendUint32(b, k.places)
		last = k
	}
	b = binary.AppendUvarint(b, uint64(len(x.aborted)))
	for _, a := range x.aborted {
		b = binary.AppendVarint(b, a.producer)
		b = binary.AppendVarint(b, a.first)
		b = binary.AppendUvarint(b, uint64(a.last-a.first))
	}
	return b
}

func readIndex(r *reader, base int64) *segmentIndex {
	x := &segmentIndex{}
	last := block{offset: base}
	n := r.count(7)
	x.blocks = make([]block, 0, n)
	for range n {
		k := block{offset: last.offset + int64(r.uvarint()), position: last.position + int64(r.uvarint()),
			maxTime: last.maxTime + r.varint(), places: r.uint32()}
		if k.offset < last.offset || k.position < last.position || len(x.blocks) > 0 && k.offset == last.offset {
			r.fail()
			return x
		}
		x.blocks = append(x.blocks, k)
		last = k
	}
	n = r.count(3)
	for range n {
		a := abortedTxn{producer: r.varint(), first: r.varint()}
		a.last = a.first + int64(r.uvarint())
		if a.last < a.first {
			r.fail()
			return x
		}
		x.aborted = append(x.aborted, a)
	}
	return x
}

// encodeIndexFile makes the file of a sealed segment's index.
func encodeIndexFile(x *segmentIndex, base, size int64) []byte {
	b := make([]byte, indexHeaderSize, 1024)
	copy(b, indexMagic)
	b = binary.AppendUvarint(b, uint64(base))
	b = binary.AppendUvarint(b, uint64(size))
	b = x.append(b, base)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-indexHeaderSize))
	binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[indexHeaderSize:], castagnoli))
	return b
}

// decodeIndexFile is the inverse, for the segment of that base offset and size.
func decodeIndexFile(b []byte, base, size int64) (*segmentIndex, error) {
	if len(b) < indexHeaderSize || string(b[:8]) != indexMagic {
		return nil, errors.New("not an index file of this version")
	}
	body := b[indexHeaderSize:]
	if n := binary.LittleEndian.Uint32(b[8:]); uint64(n) != uint64(len(body)) {
		return nil, fmt.Errorf("index of %d bytes, stored %d", n, len(body))
	}
	if got, want := crc32.Checksum(body, castagnoli), binary.LittleEndian.Uint32(b[12:]); got != want {
		return nil, fmt.Errorf("index checksum %08x, stored %08x", got, want)
	}
	r := reader{b: body}
	if gotBase, gotSize := r.uvarint(), r.uvarint(); r.err == nil && (gotBase != uint64(base) || gotSize != uint64(size)) {
		return nil, fmt.Errorf("index of a segment at offset %d of %d bytes", gotBase, gotSize)
	}
	x := readIndex(&r, base)
	if r.err == nil && len(r.b) > 0 {
		r.fail()
	}
	if r.err != nil {
		return nil, fmt.Errorf("decode index: %w", r.err)
	}
	for _, k := range x.blocks {
		if k.position >= size {
			return nil, fmt.Errorf("index points to byte %d of %d", k.position, size)
		}
	}
	return x, nil
}
