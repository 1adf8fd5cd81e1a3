package commitlog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errShort = errors.New("bytes end too early")

// reader takes fields off the front of b. The first field that is not there sets err, and all later ones are zero: decoders check
// once, at their end. Nothing is allocated for a count that the bytes left could not hold.
type reader struct {
	b       []byte
	err     error
	version byte // of the snapshot, if it is one
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = errShort
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// int32 reads a varint that must fit.
func (r *reader) int32() int32 {
	v := r.varint()
	if v != int64(int32(v)) {
		r.fail()
		return 0
	}
	return int32(v)
}

// int16 reads a varint that must fit.
func (r *reader) int16() int16 {
	v := r.varint()
	if v != int64(int16(v)) {
		r.fail()
		return 0
	}
	return int16(v)
}

// count reads how many items follow, each of which takes at least size bytes.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

// bytes reads a length and that many bytes, which alias b.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) topicID() (id TopicID) {
	if len(r.b) < len(id) {
		r.fail()
		return id
	}
	copy(id[:], r.b)
	r.b = r.b[len(id):]
	return id
}

func (r *reader) topicPartition() TopicPartition {
	return TopicPartition{Topic: r.topicID(), Partition: r.int32()}
}

func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendTopicPartition(b []byte, tp TopicPartition) []byte {
	return binary.AppendVarint(append(b, tp.Topic[:]...), int64(tp.Partition))
}
