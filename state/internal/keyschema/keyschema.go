// Package keyschema is the byte layout of state: pure functions from names and numbers to the keys of the engine, to the keys
// inside a store, and to the keys of changelogs. state/FORMAT.md draws it.
//
// Nothing in it depends on tasks, whose numbers shift when a node is added: a store partition keeps its keys for ever.
package keyschema

import (
	"encoding/binary"
	"errors"
	"math"
)

// Version is the layout's version. An engine that holds another is refused.
const Version = 1

// The first byte of every key in an engine.
const (
	tagVersion = 0x00 // the layout's version, one key
	tagRecord  = 0x01 // one record per store partition
	tagData    = 0x02 // the entries
)

// ErrFormat is returned for bytes that are not in the layout.
var ErrFormat = errors.New("not in the layout of state")

// VersionKey is the key under which the layout's version stands.
func VersionKey() []byte { return []byte{tagVersion} }

// AppendVersion appends the value of VersionKey.
func AppendVersion(dst []byte) []byte { return binary.BigEndian.AppendUint32(dst, Version) }

// ParseVersion reads the value of VersionKey.
func ParseVersion(b []byte) (uint32, error) {
	if len(b) != 4 {
		return 0, ErrFormat
	}
	return binary.BigEndian.Uint32(b), nil
}

// RecordKey is the key of a store partition's record.
func RecordKey(store string, partition int32) []byte {
	return appendStore([]byte{tagRecord}, store, partition)
}

// RecordRange bounds all record keys: lo <= key < hi.
func RecordRange() (lo, hi []byte) { return []byte{tagRecord}, []byte{tagRecord + 1} }

// DataPrefix begins every entry's key of a store partition; what follows is the key inside the store.
func DataPrefix(store string, partition int32) []byte {
	return appendStore([]byte{tagData}, store, partition)
}

// appendStore appends the length of the name, the name, and the partition.
func appendStore(dst []byte, store string, partition int32) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(store)))
	dst = append(dst, store...)
	return binary.BigEndian.AppendUint32(dst, uint32(partition))
}

// ParseRecordKey reads what RecordKey wrote.
func ParseRecordKey(b []byte) (store string, partition int32, err error) {
	if len(b) == 0 || b[0] != tagRecord {
		return "", 0, ErrFormat
	}
	n, w := binary.Uvarint(b[1:])
	if w <= 0 || n > math.MaxInt32 || len(b) != 1+w+int(n)+4 {
		return "", 0, ErrFormat
	}
	b = b[1+w:]
	return string(b[:n]), int32(binary.BigEndian.Uint32(b[n:])), nil
}

// Successor returns the smallest key above all that begin with prefix, nil if there is none.
func Successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			s := append([]byte(nil), prefix[:i+1]...)
			s[i]++
			return s
		}
	}
	return nil
}
