package layer

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// Sorted calls f for every record in the order of the keys, until it returns an error. Of several records of a key only the last
// one counts. The log must not change meanwhile.
//
// Most comparisons are of two numbers, the eight key bytes after what all keys have in common; only the keys of records that
// are equal so far are looked up.
func (l *Log) Sorted(f func(Record) error) error {
	common := l.commonPrefix()
	refs := make([]sortRef, 0, l.n)
	for i, c := range l.chunks {
		for off := 0; off < len(c); {
			r, n, dead := record(c[off:])
			if !dead {
				refs = append(refs, sortRef{head: head(r.Key[common:]), pos: Pos{l.first + uint32(i), uint32(off)}})
			}
			off += n
		}
	}
	slices.SortFunc(refs, func(a, b sortRef) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		if o := bytes.Compare(l.key(a), l.key(b)); o != 0 {
			return o
		}
		return cmp.Or(cmp.Compare(a.pos.chunk, b.pos.chunk), cmp.Compare(a.pos.off, b.pos.off))
	})
	for i, x := range refs {
		r, _, _ := record(l.at(x.pos))
		if i+1 < len(refs) && refs[i+1].head == x.head && bytes.Equal(l.key(refs[i+1]), r.Key) {
			continue // a later write follows
		}
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

type sortRef struct {
	head uint64
	pos  Pos
}

func (l *Log) key(x sortRef) []byte {
	b := l.at(x.pos)
	return b[logHeader : logHeader+binary.LittleEndian.Uint32(b[8:])]
}

// commonPrefix returns the length of the prefix that all keys share.
func (l *Log) commonPrefix() int {
	var first []byte
	n := -1
	l.All(func(r Record) {
		if n < 0 {
			first, n = r.Key, len(r.Key)
			return
		}
		i := 0
		for n = min(n, len(r.Key)); i < n && first[i] == r.Key[i]; i++ {
		}
		n = i
	})
	return max(n, 0)
}

// head returns the first eight bytes of b as a number that sorts as they do, filled up with zeros.
func head(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var x [8]byte
	copy(x[:], b)
	return binary.BigEndian.Uint64(x[:])
}
