package keyschema

import "encoding/binary"

// Record is what an engine holds about one store partition beside its entries. It is written in the same batch as they.
type Record struct {
	Kind        uint8
	BucketWidth int64 // of a window store, in milliseconds
	Newest      int64 // of a window store: the newest start it has seen
	HasNewest   bool
	Headers     bool // values have headers in front

	HasPosition bool // the rest counts
	ClusterID   string
	TopicID     [16]byte
	Partition   int32
	Next        int64
	AsOf        int64 // wall time, in milliseconds since the epoch, as of which the store held all of that log; 0: not known
}

const (
	recordVersion = 1

	flagNewest   = 1
	flagPosition = 2
	flagHeaders  = 4
	flagAsOf     = 8
)

// AppendRecord appends the value of RecordKey: version, kind, flags, bucket width (8), newest (8), next (8), partition (4), topic
// id (16), as of (8) if that is known, cluster id.
func AppendRecord(dst []byte, r *Record) []byte {
	var flags byte
	if r.HasNewest {
		flags |= flagNewest
	}
	if r.HasPosition {
		flags |= flagPosition
	}
	if r.Headers {
		flags |= flagHeaders
	}
	if r.AsOf > 0 {
		flags |= flagAsOf
	}
	dst = append(dst, recordVersion, r.Kind, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.BucketWidth))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Newest))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Next))
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.Partition))
	dst = append(dst, r.TopicID[:]...)
	if r.AsOf > 0 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(r.AsOf))
	}
	return append(dst, r.ClusterID...)
}

// ParseRecord reads what AppendRecord wrote.
func ParseRecord(b []byte) (r Record, err error) {
	const fixed = 3 + 8 + 8 + 8 + 4 + 16
	if len(b) < fixed || b[0] != recordVersion || b[2]&^(flagNewest|flagPosition|flagHeaders|flagAsOf) != 0 {
		return r, ErrFormat
	}
	r.Kind = b[1]
	r.HasNewest, r.HasPosition, r.Headers = b[2]&flagNewest != 0, b[2]&flagPosition != 0, b[2]&flagHeaders != 0
	r.BucketWidth = int64(binary.BigEndian.Uint64(b[3:]))
	r.Newest = int64(binary.BigEndian.Uint64(b[11:]))
	r.Next = int64(binary.BigEndian.Uint64(b[19:]))
	r.Partition = int32(binary.BigEndian.Uint32(b[27:]))
	copy(r.TopicID[:], b[31:])
	rest := b[fixed:]
	if b[2]&flagAsOf != 0 {
		if len(rest) < 8 {
			return r, ErrFormat
		}
		if r.AsOf = int64(binary.BigEndian.Uint64(rest)); r.AsOf <= 0 {
			return r, ErrFormat
		}
		rest = rest[8:]
	}
	r.ClusterID = string(rest)
	return r, nil
}
