package batch

import "encoding/binary"

// MarkerSize is the length of a control batch with one marker.
const MarkerSize = HeaderSize + 1 + markerBody

const markerBody = 16

// Marker is a transaction's end on a partition.
type Marker struct {
	BaseOffset       int64
	LeaderEpoch      int32
	Timestamp        int64
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Commit           bool
}

// AppendMarker appends the control batch of m to dst: one record, whose key is a version and a type (0 abort, 1 commit), and
// whose value is a version and the coordinator epoch.
func AppendMarker(dst []byte, m Marker) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, MarkerSize)...)
	raw := dst[start:]
	rec := raw[HeaderSize:]
	rec[0] = markerBody << 1 // zigzag length; attributes, timestamp delta and offset delta are 0
	rec[4] = 4 << 1          // key length
	if m.Commit {
		rec[8] = 1
	}
	rec[9] = 6 << 1 // value length
	binary.BigEndian.PutUint32(rec[12:], uint32(m.CoordinatorEpoch))
	// rec[16], the number of headers, is 0
	h := Header{
		BaseOffset: m.BaseOffset, Length: MarkerSize - PrefixSize, LeaderEpoch: m.LeaderEpoch,
		Attributes: attrTransactional | attrControl, BaseTimestamp: m.Timestamp, MaxTimestamp: m.Timestamp,
		ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, BaseSequence: NoSequence, Count: 1,
	}
	h.put(raw)
	return dst
}

// ParseMarker returns whether a control batch commits or aborts. ok is false if it holds no transaction marker.
func ParseMarker(raw []byte, h *Header) (commit, ok bool) {
	if !h.Attributes.Control() || h.Attributes.Codec() != CodecNone || len(raw) != h.Size() {
		return false, false
	}
	f, _, ok := scanRecord(raw[HeaderSize:])
	if !ok || f.keyLen < 4 {
		return false, false
	}
	kind := binary.BigEndian.Uint16(raw[HeaderSize+f.keyAt+2:])
	return kind == 1, kind <= 1
}
