package layer

import (
	"encoding/binary"
	"slices"
)

// Log is a run of writes, in order, in a few large pieces of memory. The zero Log is empty.
//
// A record is: hash (8), key length (4), value length + 1 (4; 0 is a tombstone, all ones a record that was taken out), key, room for
// the value.
type Log struct {
	chunks [][]byte
	first  uint32   // number of chunks[0]: how many were shed
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

// Pos is the place of a record in a Log, until that is reset or the record shed.
type Pos struct{ chunk, off uint32 }

const (
	logDead   = 1<<32 - 1
	logHeader = 16
	logChunk  = 256 << 10
	logSpare  = 16
)

// Len returns the number of records.
func (l *Log) Len() int { return l.n }

// Bytes returns the memory that the records hold.
func (l *Log) Bytes() int64 { return l.bytes }

// Put appends a write whose value is the concatenation of head and tail.
func (l *Log) Put(hash uint64, key, head, tail []byte) Pos {
	b, pos := l.room(hash, key, len(head)+len(tail), uint32(len(head)+len(tail)+1))
	copy(b[copy(b, head):], tail)
	return pos
}

// Bury appends a tombstone.
func (l *Log) Bury(hash uint64, key []byte) Pos {
	_, pos := l.room(hash, key, 0, 0)
	return pos
}

// Overwrite replaces the value of a record by one of the same length, if it is.
func (l *Log) Overwrite(p Pos, value []byte) bool {
	b := l.at(p)
	if binary.LittleEndian.Uint32(b[12:]) != uint32(len(value)+1) {
		return false
	}
	copy(b[logHeader+binary.LittleEndian.Uint32(b[8:]):], value)
	return true
}

// Kill takes a record out. Its memory stays.
func (l *Log) Kill(p Pos) {
	b := l.at(p)
	n := binary.LittleEndian.Uint32(b[8:])
	if mark := binary.LittleEndian.Uint32(b[12:]); mark > 0 {
		n += mark - 1
	}
	binary.LittleEndian.PutUint32(b[8:], n) // of all that is skipped
	binary.LittleEndian.PutUint32(b[12:], logDead)
	l.n--
}

// room appends a record without its value and returns the place of that, and of the record.
func (l *Log) room(hash uint64, key []byte, size int, mark uint32) ([]byte, Pos) {
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
	return b[logHeader+len(key):], Pos{l.first + uint32(last), uint32(off)}
}

// at returns what begins with the record at p.
func (l *Log) at(p Pos) []byte { return l.chunks[p.chunk-l.first][p.off:] }

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
			r, n, dead := record(c)
			if !dead {
				f(r)
			}
			c = c[n:]
		}
	}
}

// record reads the record at the beginning of b.
func record(b []byte) (r Record, n int, dead bool) {
	klen := int(binary.LittleEndian.Uint32(b[8:]))
	mark := int(binary.LittleEndian.Uint32(b[12:]))
	end := logHeader + klen
	if mark == logDead {
		return r, end, true
	}
	r = Record{Hash: binary.LittleEndian.Uint64(b), Key: b[logHeader:end:end], Tombstone: mark == 0}
	if mark > 0 {
		r.Value = b[end : end+mark-1 : end+mark-1]
		end += mark - 1
	}
	return r, end, false
}

// Shed takes out the oldest records, as long as gone says of their keys that they may go: whole pieces of memory, so some that may go
// stay. The places of the others do not change.
func (l *Log) Shed(gone func(key []byte) bool) {
	shed := 0
	for ; shed < len(l.chunks)-1; shed++ { // the last one is being filled
		live := 0
		for c := l.chunks[shed]; len(c) > 0; {
			r, n, dead := record(c)
			if !dead {
				if !gone(r.Key) {
					l.drop(shed)
					return
				}
				live++
			}
			c = c[n:]
		}
		l.n -= live
		l.bytes -= int64(len(l.chunks[shed]))
	}
	l.drop(shed)
}

// drop gives up the memory of the first chunks.
func (l *Log) drop(n int) {
	for _, c := range l.chunks[:n] {
		l.keep(c)
	}
	l.chunks = slices.Delete(l.chunks, 0, n)
	l.first += uint32(n)
}

// keep puts a chunk aside that is not in use any more.
func (l *Log) keep(c []byte) {
	if len(l.spare) < logSpare && cap(c) <= logChunk {
		l.spare = append(l.spare, c[:0])
	}
}

// Reset empties the log. It keeps the memory of a few chunks.
func (l *Log) Reset() {
	for _, c := range slices.Backward(l.chunks) {
		l.keep(c)
	}
	clear(l.chunks)
	*l = Log{chunks: l.chunks[:0], spare: l.spare}
}
