package keyschema

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/serde"
)

// TestKafkaHeaders compares headers, and values behind them, with what Kafka Streams writes, byte for byte, and reads them back.
func TestKafkaHeaders(t *testing.T) {
	t.Parallel()
	var file struct {
		Entries []struct {
			Format, Bytes, Value string
			Time                 int64 `json:"ts"`
			Headers              [][2]*string
		}
	}
	if err := json.Unmarshal(recorded(t, "bytes-values"), &file); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, e := range file.Entries {
		var list []serde.Header
		for _, h := range e.Headers {
			header := serde.Header{Key: *h[0]}
			if h[1] != nil {
				header.Value = []byte(*h[1])
			}
			list = append(list, header)
		}
		front := AppendHeaders(nil, list)
		got := bytes.Clone(front)
		switch e.Format {
		case "headers": // without their size, none are nothing
			_, n := binary.Varint(got)
			got = got[n:]
		case "value with time and headers (dsl.store.format=HEADERS)":
			got = append(binary.BigEndian.AppendUint64(got, uint64(e.Time)), e.Value...)
		case "session aggregate with headers (dsl.store.format=HEADERS)":
			got = append(got, e.Value...)
		default:
			continue
		}
		seen[e.Format]++
		if hex.EncodeToString(got) != e.Bytes {
			t.Errorf("%s of %v: %x, want %s", e.Format, list, got, e.Bytes)
		}
		if e.Format == "headers" {
			continue
		}
		cut, _, err := CutHeaders(got)
		if err != nil || !bytes.Equal(cut, front) {
			t.Errorf("%x: headers %x, %v, want %x", got, cut, err, front)
		}
		back, err := ParseHeaders(cut)
		if err != nil || fmt.Sprintf("%#v", back) != fmt.Sprintf("%#v", list) {
			t.Errorf("%x is read as %#v, %v, want %#v", cut, back, err, list)
		}
	}
	if len(seen) != 3 {
		t.Errorf("compared %v, want three formats", seen)
	}
}

// FuzzDecodeHeaders: whatever the bytes are, what is read is written as it was, or refused, and no count out of nowhere makes work.
func FuzzDecodeHeaders(f *testing.F) {
	f.Add([]byte{0})
	f.Add(AppendHeaders(nil, []serde.Header{{Key: "x", Value: []byte("1")}, {Key: "", Value: nil}, {Key: "yy", Value: []byte{}}}))
	f.Add(append(binary.AppendVarint(nil, 12), binary.AppendVarint(nil, 1<<40)...))
	f.Add(binary.AppendVarint(nil, -1))
	f.Add([]byte{2, 0}) // no headers, with their number
	f.Fuzz(func(t *testing.T, b []byte) {
		cut, rest, err := CutHeaders(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v", err)
			}
			return
		}
		if !bytes.Equal(append(bytes.Clone(cut), rest...), b) {
			t.Fatalf("%x is cut into %x and %x", b, cut, rest)
		}
		list, err := ParseHeaders(cut)
		if err != nil {
			return
		}
		again, err := ParseHeaders(AppendHeaders(nil, list))
		if err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", list) {
			t.Fatalf("%x is read as %#v, and that as %#v, %v", cut, list, again, err)
		}
	})
}
