package layer

import (
	"encoding/binary"
	"slices"
)

// Log is a run of writes, in order, in a few large pieces of memory. The zero Log is empty.
//
// A record is: hash (8), key length (4), value length + 1 (4; 0 is a tombstone), key, value.
type Log struct {
	chunks [][]byte
	spare  [][]byte // empty chunks of an earlier use
	n      int
	bytes  int64
}

// Record is one write of a Log; its slices point into the log.
type Record struct {
	Hash       uint64
	Key, Value []byte
	Tombstone  bool
}

const (
	logHeader = 16
	logChunk  = 256 << 10
	logSpare  = 16
)

// Len returns the number of records.
func (l *Log) Len() int { return l.n }

// Bytes returns the memory that the records hold.
func (l *Log) Bytes() int64 { return l.bytes }

// Put appends a write whose value is the concatenation of head and tail.
func (l *Log) Put(hash uint64, key, head, tail []byte) {
	b := l.room(hash, key, len(head)+len(tail), uint32(len(head)+len(tail)+1))
	copy(b[copy(b, head):], tail)
}

// Bury appends a tombstone.
func (l *Log) Bury(hash uint64, key []byte) { l.room(hash, key, 0, 0) }

// room appends a record without its value and returns the place of that.
func (l *Log) room(hash uint64, key []byte, size int, mark uint32) []byte {
	n := logHeader + len(key) + size
	last := len(l.chunks) - 1
	if last < 0 || cap(l.chunks[last])-len(l.chunks[last]) < n {
		l.chunks = append(l.chunks, l.chunk(n))
		last++
	}
	c := l.chunks[last]
	off := len(c)
	c = c[:off+n]
	l.chunks[last] = c
	b := c[off:]
	binary.LittleEndian.PutUint64(b, hash)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(key)))
	binary.LittleEndian.PutUint32(b[12:], mark)
	copy(b[logHeader:], key)
	l.n++
	l.bytes += int64(n)
	return b[logHeader+len(key):]
}

// chunk returns an empty chunk with room for n bytes.
func (l *Log) chunk(n int) []byte {
	if k := len(l.spare) - 1; k >= 0 && cap(l.spare[k]) >= n {
		c := l.spare[k]
		l.spare = l.spare[:k]
		return c
	}
	// The first ones are small: most logs are.
	return make([]byte, 0, max(n, min(logChunk, 1<<10<<(2*min(len(l.chunks), 8)))))
}

// All calls f for every record in order.
func (l *Log) All(f func(Record)) {
	for _, c := range l.chunks {
		for len(c) > 0 {
			r, n := record(c)
			f(r)
			c = c[n:]
		}
	}
}

// record reads the record at the beginning of b.
func record(b []byte) (r Record, n int) {
	klen := int(binary.LittleEndian.Uint32(b[8:]))
	mark := int(binary.LittleEndian.Uint32(b[12:]))
	end := logHeader + klen
	r = Record{Hash: binary.LittleEndian.Uint64(b), Key: b[logHeader:end:end], Tombstone: mark == 0}
	if mark > 0 {
		r.Value = b[end : end+mark-1 : end+mark-1]
		end += mark - 1
	}
	return r, end
}

// Reset empties the log. It keeps the memory of a few chunks.
func (l *Log) Reset() {
	for _, c := range slices.Backward(l.chunks) {
		if len(l.spare) < logSpare && cap(c) <= logChunk {
			l.spare = append(l.spare, c[:0])
		}
	}
	clear(l.chunks)
	*l = Log{chunks: l.chunks[:0], spare: l.spare}
}
