package keyschema

import "encoding/binary"

// timeFirst is Kafka's mark of a key that begins with its time.
const timeFirst = 0x00

// AppendTimeFirst appends the key of a record in a buffer ordered by time, Kafka's, inside its store and in its changelog: 0, time
// (8), key, sequence number (4). It sorts by time, then by key, then by sequence number. Times are not negative.
func AppendTimeFirst(dst, key []byte, time int64, sequence uint32) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, timeFirst), uint64(time))
	return binary.BigEndian.AppendUint32(append(dst, key...), sequence)
}

// SplitTimeFirst reads what AppendTimeFirst wrote.
func SplitTimeFirst(b []byte) (key []byte, time int64, sequence uint32, err error) {
	const head = 1 + StartLen
	n := len(b) - SequenceLen
	if n < head || b[0] != timeFirst {
		return nil, 0, 0, ErrFormat
	}
	time = int64(binary.BigEndian.Uint64(b[1:]))
	if time < 0 {
		return nil, 0, 0, ErrFormat
	}
	return b[head:n:n], time, binary.BigEndian.Uint32(b[n:]), nil
}
