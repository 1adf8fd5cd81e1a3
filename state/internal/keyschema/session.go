package keyschema

import "encoding/binary"

// AppendSession appends what ends the key of a session inside its store: end and start. It sorts by end, then start.
func AppendSession(dst []byte, start, end int64) []byte {
	return AppendStart(AppendStart(dst, end), start)
}

// SplitSession reads the key of a session inside its store: bucket, key, end, start.
func SplitSession(b []byte) (key []byte, start, end int64, err error) {
	n := len(b) - 2*StartLen
	if n < BucketLen {
		return nil, 0, 0, ErrFormat
	}
	end = unflip(binary.BigEndian.Uint64(b[n:]))
	return b[BucketLen:n:n], unflip(binary.BigEndian.Uint64(b[n+StartLen:])), end, nil
}

// AppendSessionChangelog appends the changelog key of a session, Kafka's: key, end (8), start (8) (S-18).
func AppendSessionChangelog(dst, key []byte, start, end int64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, key...), uint64(end))
	return binary.BigEndian.AppendUint64(dst, uint64(start))
}

// SplitSessionChangelog reads what AppendSessionChangelog wrote.
func SplitSessionChangelog(b []byte) (key []byte, start, end int64, err error) {
	n := len(b) - 2*StartLen
	if n < 0 {
		return nil, 0, 0, ErrFormat
	}
	return b[:n:n], int64(binary.BigEndian.Uint64(b[n+StartLen:])), int64(binary.BigEndian.Uint64(b[n:])), nil
}
