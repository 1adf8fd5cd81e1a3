package keyschema

import (
	"encoding/binary"
	"time"
)

// Bucket numbers the time buckets of a window store: windows whose start lies in [Bucket*width, (Bucket+1)*width).
type Bucket int64

// Lengths of the parts around the key of a window.
const (
	BucketLen   = 8
	StartLen    = 8
	SequenceLen = 4
)

// BucketWidth returns the width of a store's buckets in milliseconds: a quarter of its retention, at most a day, but
// no shorter than a window. So a short retention is dropped in quarters, and one of centuries in days.
func BucketWidth(size, retention time.Duration) int64 {
	return max(size.Milliseconds(), min(retention/4, 24*time.Hour).Milliseconds(), 1)
}

// BucketOf returns the bucket of a window that begins at start.
func BucketOf(start, width int64) Bucket {
	b := start / width
	if start%width < 0 {
		b--
	}
	return Bucket(b)
}

// AppendBucket appends what begins the keys of a bucket inside its store. Buckets sort by time, those before the epoch too.
func AppendBucket(dst []byte, b Bucket) []byte {
	return binary.BigEndian.AppendUint64(dst, flip(int64(b)))
}

// BucketAt reads what AppendBucket wrote at the beginning of a key inside a store.
func BucketAt(b []byte) (Bucket, error) {
	if len(b) < BucketLen {
		return 0, ErrFormat
	}
	return Bucket(unflip(binary.BigEndian.Uint64(b))), nil
}

// AppendStart appends what ends the key of a window inside its store. It sorts by time.
func AppendStart(dst []byte, start int64) []byte {
	return binary.BigEndian.AppendUint64(dst, flip(start))
}

// SplitWindow reads the key of a window inside its store: bucket, key, start.
func SplitWindow(b []byte) (key []byte, start int64, err error) {
	if len(b) < BucketLen+StartLen {
		return nil, 0, ErrFormat
	}
	end := len(b) - StartLen
	return b[BucketLen:end:end], unflip(binary.BigEndian.Uint64(b[end:])), nil
}

// AppendWindowChangelog appends the changelog key of a window, Kafka's: key, start (8), sequence (4), which is 0 in a store without
// duplicates (S-16).
func AppendWindowChangelog(dst, key []byte, start int64) []byte {
	dst = append(dst, key...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(start))
	return append(dst, 0, 0, 0, 0)
}

// SplitWindowChangelog reads what AppendWindowChangelog wrote.
func SplitWindowChangelog(b []byte) (key []byte, start int64, err error) {
	end := len(b) - StartLen - SequenceLen
	if end < 0 {
		return nil, 0, ErrFormat
	}
	return b[:end:end], int64(binary.BigEndian.Uint64(b[end:])), nil
}

// flip maps signed numbers to unsigned ones of the same order.
func flip(n int64) uint64   { return uint64(n) ^ 1<<63 }
func unflip(n uint64) int64 { return int64(n ^ 1<<63) }
