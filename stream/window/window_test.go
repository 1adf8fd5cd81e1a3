package window_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/window"
)

const ms = time.Millisecond

// TestFirst: windows are aligned to the epoch and never start before it (D-70, D-71).
func TestFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		windows window.Time
		time    int64
		want    int64
	}{
		{window.Tumbling(10 * ms), 0, 0},
		{window.Tumbling(10 * ms), 9, 0},
		{window.Tumbling(10 * ms), 10, 10},
		{window.Tumbling(10 * ms), math.MaxInt64, math.MaxInt64 / 10 * 10},
		{window.Hopping(10*ms, 5*ms), 0, 0},
		{window.Hopping(10*ms, 5*ms), 9, 0},
		{window.Hopping(10*ms, 5*ms), 10, 5},
		{window.Hopping(10*ms, 5*ms), 14, 5},
		{window.Hopping(10*ms, 3*ms), 9, 0},
		{window.Hopping(10*ms, 3*ms), 10, 3},
		{window.Hopping(10*ms, 3*ms), 12, 3},
		{window.Hopping(10*ms, 3*ms), 13, 6},
	} {
		got := c.windows.First(c.time)
		if got != c.want {
			t.Errorf("%+v: first window of %d starts at %d, want %d", c.windows, c.time, got, c.want)
		}
		if got+c.windows.Size().Milliseconds() <= c.time && c.time < math.MaxInt64-100 {
			t.Errorf("%+v: window [%d, …) does not hold %d", c.windows, got, c.time)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		windows window.Time
		want    string // empty: valid
	}{
		{window.Tumbling(time.Hour).Grace(time.Minute), ""},
		{window.Hopping(time.Hour, time.Minute), ""},
		{window.Time{}, "window size 0s: want at least 1ms"},
		{window.Tumbling(1500 * time.Microsecond), "window size 1.5ms: want whole milliseconds"},
		{window.Tumbling(-ms), "window size -1ms"},
		{window.Tumbling(ms).Grace(-ms), "window grace -1ms: want at least 0s"},
		{window.Hopping(ms, 0), "window advance 0s: want at least 1ms"},
		{window.Hopping(ms, 2*ms), "window advance 2ms is greater than the size 1ms"},
	} {
		err := c.windows.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.windows, err, c.want)
		}
	}
}

// TestKafkaKeys compares windowed keys with what Kafka Streams writes, in both directions (D-91).
func TestKafkaKeys(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/kafka-keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		Key        string
		Start, End int64
		Bytes      string
	}
	if err := json.Unmarshal(b, &entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		s := window.KeySerde(serde.String, time.Duration(e.End-e.Start)*ms)
		want, err := hex.DecodeString(e.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		w := window.Windowed[string]{Key: e.Key, Start: e.Start, End: e.End}
		if got, err := s.Append(nil, w); err != nil || !bytes.Equal(got, want) {
			t.Errorf("append %+v: %x, %v; want %x", w, got, err, want)
		}
		if got, err := s.Decode(want); err != nil || got != w {
			t.Errorf("decode %x: %+v, %v; want %+v", want, got, err, w)
		}
		part := s.(interface{ PartitionBytes([]byte) []byte }).PartitionBytes(want)
		if string(part) != e.Key {
			t.Errorf("%x is partitioned by %q, want %q", want, part, e.Key)
		}
	}
	if len(entries) < 10 {
		t.Errorf("%d keys compared", len(entries))
	}
}

func TestKeyErrors(t *testing.T) {
	t.Parallel()
	s := window.KeySerde(serde.Int64, time.Hour)
	for _, src := range []string{"", "1234567", "12345678", "123456712345678", "12345678\xff2345678"} {
		if w, err := s.Decode([]byte(src)); err == nil {
			t.Errorf("decode %q: %+v", src, w)
		}
	}
	if b, err := s.Append([]byte("kept"), window.Windowed[int64]{Start: -1}); err == nil || string(b) != "kept" {
		t.Errorf("append a window before the epoch: %q, %v", b, err)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	w := window.Windowed[string]{Start: 3_600_000, End: 7_200_000}
	if w.StartTime().String() != "1970-01-01 01:00:00 +0000 UTC" || w.EndTime().Sub(w.StartTime()) != time.Hour {
		t.Errorf("%v to %v", w.StartTime(), w.EndTime())
	}
	if end := window.End(math.MaxInt64-5, 10); end != math.MaxInt64 {
		t.Errorf("a window at the end of time ends at %d", end)
	}
}

func FuzzDecodeKey(f *testing.F) {
	f.Add([]byte("a\x00\x00\x00\x00\x00\x00\x00\x0a"))
	f.Add([]byte("short"))
	s := window.KeySerde(serde.Bytes, time.Minute)
	f.Fuzz(func(t *testing.T, src []byte) {
		w, err := s.Decode(src)
		if err != nil {
			return
		}
		if b, err := s.Append(nil, w); err != nil || !bytes.Equal(b, src) {
			t.Fatalf("%x decodes to %+v, written as %x, %v", src, w, b, err)
		}
	})
}
