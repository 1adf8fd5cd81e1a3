package recordbatch

import "errors"

var errRecord = errors.New("record does not fit its length")

// record is one record as encoded, its headers still to be read.
type record struct {
	timestampDelta int64
	offsetDelta    int64
	key, value     []byte
	headerCount    int64
	headers        []byte
}

// readRecord reads the first record of src and returns what follows it.
func readRecord(src []byte, rec *record) (rest []byte, ok bool) {
	u, i := readUvarint(src, 0)
	n := unzigzag(u)
	if i < 0 || n < 1 || n > int64(len(src)-i) {
		return nil, false
	}
	rest = src[i+int(n):]
	body := src[i : i+int(n)]
	i = 1 // after the attributes, which are unused
	if u, i = readUvarint(body, i); i < 0 {
		return nil, false
	}
	rec.timestampDelta = unzigzag(u)
	if u, i = readUvarint(body, i); i < 0 {
		return nil, false
	}
	rec.offsetDelta = unzigzag(u)
	if rec.key, i = readBytes(body, i); i < 0 {
		return nil, false
	}
	if rec.value, i = readBytes(body, i); i < 0 {
		return nil, false
	}
	if u, i = readUvarint(body, i); i < 0 {
		return nil, false
	}
	if rec.headerCount = unzigzag(u); rec.headerCount == 0 {
		return rest, i == len(body)
	}
	rec.headers = body[i:]
	return rest, rec.headerCount > 0 && rec.headerCount <= int64(len(rec.headers)/2) // a header has at least two bytes
}

// readBytes reads a length and as many bytes at src[i:], and returns the position after them, negative if they are not
// there. Length -1 is nil.
func readBytes(src []byte, i int) ([]byte, int) {
	u, i := readUvarint(src, i)
	n := unzigzag(u)
	if i < 0 || n > int64(len(src)-i) || n < -1 {
		return nil, -1
	}
	if n < 0 {
		return nil, i
	}
	end := i + int(n)
	return src[i:end:end], end
}

func firstRecord(src []byte) (record, bool) {
	var rec record
	_, ok := readRecord(src, &rec)
	return rec, ok
}
