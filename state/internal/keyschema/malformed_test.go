package keyschema

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/millrace-io/millrace/serde"
)

// TestMalformed: bytes that are too short, or say what the layout does not know, are refused and do not end the process.
func TestMalformed(t *testing.T) {
	t.Parallel()
	window := func(b []byte) error { _, _, err := SplitWindow(b); return err }
	windowLog := func(b []byte) error { _, _, err := SplitWindowChangelog(b); return err }
	session := func(b []byte) error { _, _, _, err := SplitSession(b); return err }
	sessionLog := func(b []byte) error { _, _, _, err := SplitSessionChangelog(b); return err }
	duplicate := func(b []byte) error { _, _, _, err := SplitDuplicate(b); return err }
	duplicateLog := func(b []byte) error { _, _, _, err := SplitDuplicateChangelog(b); return err }
	timeFirst := func(b []byte) error { _, _, _, err := SplitTimeFirst(b); return err }
	bucket := func(b []byte) error { _, err := BucketAt(b); return err }
	recordKey := func(b []byte) error { _, _, err := ParseRecordKey(b); return err }
	record := func(b []byte) error { _, err := ParseRecord(b); return err }
	headers := func(b []byte) error { _, err := ParseHeaders(b); return err }
	cut := func(b []byte) error { _, _, err := CutHeaders(b); return err }

	for _, c := range []struct {
		name  string
		parse func([]byte) error
		good  []byte // of the least length
	}{
		{"window", window, AppendStart(AppendBucket(nil, 1), 1)},
		{"changelog key of a window", windowLog, AppendWindowChangelog(nil, nil, 1)},
		{"session", session, AppendSession(AppendBucket(nil, 1), 1, 2)},
		{"changelog key of a session", sessionLog, AppendSessionChangelog(nil, nil, 1, 2)},
		{"duplicate", duplicate, AppendDuplicate(AppendBucket(nil, 1), 1, 2)},
		{"changelog key of a duplicate", duplicateLog, AppendDuplicateChangelog(nil, nil, 1, 2)},
		{"time first", timeFirst, AppendTimeFirst(nil, nil, 1, 2)},
		{"bucket", bucket, AppendBucket(nil, 1)},
		{"record key", recordKey, RecordKey("store", 1)},
		{"record", record, AppendRecord(nil, &Record{})},
		{"record with a time", record, AppendRecord(nil, &Record{AsOf: 1})},
		{"headers", headers, AppendHeaders(nil, []serde.Header{{Key: "key", Value: []byte("value")}, {Key: "k"}})},
		{"headers in front", cut, AppendHeaders(nil, []serde.Header{{Key: "key", Value: []byte("value")}})},
	} {
		if err := c.parse(c.good); err != nil {
			t.Errorf("%s: %x: %v", c.name, c.good, err)
		}
		for n := range c.good {
			if err := c.parse(c.good[:n:n]); !errors.Is(err, ErrFormat) {
				t.Errorf("%s: %x: %v, want ErrFormat", c.name, c.good[:n], err)
			}
		}
	}

	with := func(b []byte, at int, x byte) []byte { b[at] = x; return b }
	varints := func(numbers ...int64) (b []byte) {
		for _, n := range numbers {
			b = binary.AppendVarint(b, n)
		}
		return b
	}
	for _, c := range []struct {
		name  string
		parse func([]byte) error
		bad   []byte
	}{
		{"another mark in front of a time", timeFirst, with(AppendTimeFirst(nil, nil, 1, 2), 0, 1)},
		{"a negative time", timeFirst, AppendTimeFirst(nil, nil, -1, 2)},
		{"an entry's key", recordKey, DataPrefix("store", 1)},
		{"a name whose length overflows", recordKey, binary.AppendUvarint([]byte{tagRecord}, 1<<64-4)},
		{"a length without an end", recordKey, []byte{tagRecord, 0x80, 0x80, 0x80, 0x80}},
		{"a length of too many bytes", recordKey, []byte{tagRecord, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{"a record of another version", record, with(AppendRecord(nil, &Record{}), 0, recordVersion+1)},
		{"a flag that is not known", record, with(AppendRecord(nil, &Record{}), 2, 1<<7)},
		{"a negative time of a record", record, with(AppendRecord(nil, &Record{AsOf: 1}), 47, 0xff)},
		{"headers with something behind", headers, append(AppendHeaders(nil, []serde.Header{{Key: "k"}}), 0)},
		{"no headers with something behind", headers, []byte{0, 0}},
		{"a size that has something behind the last header", headers, varints(4, 1, 0, 0, 0)},
		{"a negative size", cut, varints(-1)},
		{"a negative size of headers", headers, varints(-1)},
		{"a negative number of headers", headers, varints(1, -1)},
		{"more headers than bytes", headers, varints(6, 1<<40)},
		{"a key of negative length", headers, varints(3, 1, -2, 0)},
		{"a value of negative length", headers, varints(3, 1, 0, -2)},
	} {
		if err := c.parse(c.bad); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %x: %v, want ErrFormat", c.name, c.bad, err)
		}
	}
}

// TestHeadersAreCopies: headers that were read do not change with the bytes they were read from.
func TestHeadersAreCopies(t *testing.T) {
	t.Parallel()
	b := AppendHeaders(nil, []serde.Header{{Key: "k", Value: []byte("v")}})
	list, err := ParseHeaders(b)
	clear(b)
	if err != nil || len(list) != 1 || list[0].Key != "k" || string(list[0].Value) != "v" {
		t.Errorf("%v, %v", list, err)
	}
}
