package keyschema

import "encoding/binary"

// AppendDuplicate appends what ends the key of one of several entries of one key and time inside their store: time and sequence
// number. It sorts by time, then sequence number.
func AppendDuplicate(dst []byte, time int64, sequence uint32) []byte {
	return binary.BigEndian.AppendUint32(AppendStart(dst, time), sequence)
}

// SplitDuplicate reads the key of such an entry inside its store: bucket, key, time, sequence number.
func SplitDuplicate(b []byte) (key []byte, time int64, sequence uint32, err error) {
	n := len(b) - StartLen - SequenceLen
	if n < BucketLen {
		return nil, 0, 0, ErrFormat
	}
	return b[BucketLen:n:n], unflip(binary.BigEndian.Uint64(b[n:])), binary.BigEndian.Uint32(b[n+StartLen:]), nil
}

// AppendDuplicateChangelog appends the changelog key of such an entry, Kafka's: key, time (8), sequence number (4) (S-16).
func AppendDuplicateChangelog(dst, key []byte, time int64, sequence uint32) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, key...), uint64(time))
	return binary.BigEndian.AppendUint32(dst, sequence)
}

// SplitDuplicateChangelog reads what AppendDuplicateChangelog wrote.
func SplitDuplicateChangelog(b []byte) (key []byte, time int64, sequence uint32, err error) {
	key, time, err = SplitWindowChangelog(b)
	if err != nil {
		return nil, 0, 0, err
	}
	return key, time, binary.BigEndian.Uint32(b[len(b)-SequenceLen:]), nil
}
