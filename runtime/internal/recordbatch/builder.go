package recordbatch

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// DefaultMaxBytes is the largest batch that a Builder makes unless told otherwise. Kafka's brokers accept 1,048,588 bytes
// by default (message.max.bytes).
const DefaultMaxBytes = 1 << 20

// Producer is what Finish writes into a batch's header. The zero value is not valid for an idempotent producer; use
// [NoProducer] for a batch without one.
type Producer struct {
	ID            int64
	Epoch         int16
	Sequence      int32 // of the first record
	Transactional bool
}

// NoProducer marks a batch of a producer that is not idempotent.
var NoProducer = Producer{ID: -1, Epoch: -1, Sequence: -1}

// Builder makes one record batch. Records are encoded in place: once the buffer has grown to the batch's size, Append
// allocates nothing. The zero value is not usable; see [NewBuilder].
type Builder struct {
	buf           []byte
	codec         Codec
	packed        []byte // the batch, compressed, once Finish has made it; its header is as long as buf's
	target, limit int
	most          int // target as the Builder was made
	count         int32
	baseTimestamp int64
	maxTimestamp  int64
	stands        bool // the header is written, for finished
	finished      Producer

	origins []task.Origin // of the records, as far as they were noted
}

// NewBuilder returns an empty Builder. A batch is full when another record would make it longer than targetBytes; one record
// alone may be longer, up to maxBytes. Both count the batch's header; 0 means DefaultMaxBytes.
func NewBuilder(targetBytes, maxBytes int) *Builder {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxBytes
	}
	if targetBytes <= 0 || targetBytes > maxBytes {
		targetBytes = maxBytes
	}
	b := &Builder{target: targetBytes, most: targetBytes, limit: maxBytes}
	b.Reset()
	return b
}

// Compress has Finish compress the records from now on, unless that would make the batch longer. The codec must be Valid.
func (b *Builder) Compress(codec Codec) {
	b.codec = codec
	b.packed, b.stands = b.packed[:0], false
}

// Limit sets the size that no batch may exceed: what its topic allows. The batch must be empty. A record that is too large for it is
// ErrTooLarge.
func (b *Builder) Limit(maxBytes int) {
	b.target, b.limit = min(b.most, maxBytes), maxBytes
}

// Reset empties the batch and keeps the buffer. What Finish returned is invalid from now on.
func (b *Builder) Reset() {
	if cap(b.buf) < HeaderBytes {
		b.buf = make([]byte, HeaderBytes, 4<<10)
	}
	b.buf, b.packed, b.stands = b.buf[:HeaderBytes], b.packed[:0], false
	b.count, b.baseTimestamp, b.maxTimestamp = 0, 0, math.MinInt64
	b.origins = b.origins[:0]
}

// Len returns the number of records.
func (b *Builder) Len() int { return int(b.count) }

// Bytes returns the size of the batch before it is compressed, header included.
func (b *Builder) Bytes() int { return len(b.buf) }

// Cap returns the memory it holds, without what was noted.
func (b *Builder) Cap() int { return cap(b.buf) + cap(b.packed) }

// Note remembers where the record comes from that was appended last. It is not written.
func (b *Builder) Note(o *task.Origin) { b.origins = append(b.origins, *o) }

// Origin returns what was noted of record i, counted from 0, and whether something was.
func (b *Builder) Origin(i int) (task.Origin, bool) {
	if i < 0 || i >= len(b.origins) {
		return task.Origin{}, false
	}
	return b.origins[i], true
}

// Append adds a record. A nil key or value is null; an empty one is not. timestamp is in milliseconds since the epoch. All
// slices are copied.
//
// It returns ErrFull or ErrTooLarge, and then has changed nothing.
func (b *Builder) Append(key, value []byte, timestamp int64, headers []topology.Header) error {
	if b.count == 0 {
		b.baseTimestamp = timestamp
	}
	delta := timestamp - b.baseTimestamp
	body := 1 + uvarintLen(zigzag(delta)) + uvarintLen(zigzag(int64(b.count))) +
		bytesLen(key) + bytesLen(value) + uvarintLen(zigzag(int64(len(headers))))
	for i := range headers {
		n := len(headers[i].Key)
		body += uvarintLen(zigzag(int64(n))) + n + bytesLen(headers[i].Value)
	}
	total := uvarintLen(zigzag(int64(body))) + body
	if len(b.buf)+total > b.target {
		first := body - uvarintLen(zigzag(delta)) - uvarintLen(zigzag(int64(b.count))) + 2 // in an empty batch, where both are 0
		if HeaderBytes+uvarintLen(zigzag(int64(first)))+first > b.limit {
			return ErrTooLarge
		}
		if b.count > 0 {
			return ErrFull
		}
	}

	i := len(b.buf)
	b.grow(total)
	buf := b.buf
	i = putUvarint(buf, i, zigzag(int64(body)))
	buf[i] = 0
	i = putUvarint(buf, i+1, zigzag(delta))
	i = putUvarint(buf, i, zigzag(int64(b.count)))
	i = putBytes(buf, i, key)
	i = putBytes(buf, i, value)
	i = putUvarint(buf, i, zigzag(int64(len(headers))))
	for h := range headers {
		i = putUvarint(buf, i, zigzag(int64(len(headers[h].Key))))
		i += copy(buf[i:], headers[h].Key)
		i = putBytes(buf, i, headers[h].Value)
	}
	b.packed, b.stands = b.packed[:0], false
	b.count++
	b.maxTimestamp = max(b.maxTimestamp, timestamp)
	return nil
}

// grow makes the buffer n bytes longer. It doubles: a batch grows from nothing to its full size, and what append does with
// large slices, a quarter at a time, would copy it five times over. From half of the full size on it takes an eighth of that at a time,
// since a worker sends a batch when it is somewhat larger than half.
func (b *Builder) grow(n int) {
	need := len(b.buf) + n
	if need > cap(b.buf) {
		room := 2 * cap(b.buf)
		if cap(b.buf) >= b.target/2 {
			room = cap(b.buf) + b.target/8
		}
		larger := make([]byte, len(b.buf), max(need, min(room, b.limit)))
		copy(larger, b.buf)
		b.buf = larger
	}
	b.buf = b.buf[:need]
}

// Finish writes the header and returns the batch, which is valid until Reset or the next Append. The base offset is 0 and
// the leader epoch -1; the broker sets both. It may be called again with another Producer; with the same one nothing is
// written, since whoever was given the batch may still be reading it. The batch must not be empty.
func (b *Builder) Finish(p Producer) []byte {
	buf, codec := b.pack()
	if b.stands && b.finished == p {
		return buf
	}
	b.stands, b.finished = true, p
	attributes := uint16(codec)
	if p.Transactional {
		attributes |= attrTransactional
	}
	be := binary.BigEndian
	be.PutUint64(buf[posBaseOffset:], 0)
	be.PutUint32(buf[posLength:], uint32(len(buf)-frameBytes))
	be.PutUint32(buf[posLeaderEpoch:], math.MaxUint32)
	buf[posMagic] = magic2
	be.PutUint16(buf[posAttributes:], attributes)
	be.PutUint32(buf[posLastOffsetDelta:], uint32(b.count-1))
	be.PutUint64(buf[posBaseTimestamp:], uint64(b.baseTimestamp))
	be.PutUint64(buf[posMaxTimestamp:], uint64(b.maxTimestamp))
	be.PutUint64(buf[posProducerID:], uint64(p.ID))
	be.PutUint16(buf[posProducerEpoch:], uint16(p.Epoch))
	be.PutUint32(buf[posBaseSequence:], uint32(p.Sequence))
	be.PutUint32(buf[posCount:], uint32(b.count))
	be.PutUint32(buf[posCRC:], crc32.Checksum(buf[posAttributes:], castagnoli))
	return buf
}

// pack returns the batch, its records compressed if that makes it shorter. It does so once, however often Finish is called.
func (b *Builder) pack() ([]byte, Codec) {
	if b.codec == None {
		return b.buf, None
	}
	if len(b.packed) == 0 {
		packed, err := compressTo(append(b.packed, b.buf[:HeaderBytes]...), b.codec, b.buf[HeaderBytes:])
		if err != nil { // into memory, that is only for a codec that is not Valid
			return b.buf, None
		}
		b.packed = packed
	}
	if len(b.packed) >= len(b.buf) {
		return b.buf, None
	}
	return b.packed, b.codec
}

func bytesLen(b []byte) int {
	if b == nil {
		return 1
	}
	return uvarintLen(zigzag(int64(len(b)))) + len(b)
}

func putBytes(dst []byte, i int, b []byte) int {
	if b == nil {
		dst[i] = 1 // -1, zigzag
		return i + 1
	}
	i = putUvarint(dst, i, zigzag(int64(len(b))))
	return i + copy(dst[i:], b)
}
