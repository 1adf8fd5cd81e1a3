package commit

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text  string
		time  int64
		times map[string]int64
		ok    bool
	}{
		{"", -1, nil, true},
		{"AgAAAAAAAAAA", 0, nil, true},
		{"AgAAAZzaKUwA", 1773186665472, nil, true},
		{"AQAAAZzaKUwA", 1773186665472, nil, true}, // version 1
		{"AgAAAZzaKUwAAAAAAA==", 1773186665472, nil, true},
		// What ProcessorMetadata writes: one entry, "counts" at 1773186660000; what follows it is read over.
		{javaMetadata("\x00\x00\x00\x01\x00\x00\x00\x06counts\x00\x00\x01\x9c\xda\x29\x36\xa0"), 1773186665472, map[string]int64{"counts": 1773186660000}, true},
		{javaMetadata("\x00\x00\x00\x01\x00\x00\x00\x06counts\x00\x00\x01\x9c\xda\x29\x36\xa0more"), 1773186665472, map[string]int64{"counts": 1773186660000}, true},
		{javaMetadata("\x00\x00\x00\x01\x00\x00\x00\x06counts\xff\xff\xff\xff\xff\xff\xff\xff"), 1773186665472, nil, true},
		{javaMetadata("\x00\x00\x00\x02\x00\x00\x00\x06counts\x00\x00\x01\x9c\xda\x29\x36\xa0"), 1773186665472, nil, false},
		{javaMetadata("\x00\x00\x00\x01\x7f\xff\xff\xffcounts\x00\x00\x01\x9c\xda\x29\x36\xa0"), 1773186665472, nil, false},
		{"AgAAAZzaKUwAAAAAAQ==", 1773186665472, nil, false},
		{"AgAAAZzaKUwAAAA=", 1773186665472, nil, false},
		{"Av//////////", -1, nil, true},  // Java's UNKNOWN
		{"AwAAAZzaKUwA", -1, nil, false}, // a version to come
		{"AgAA", -1, nil, false},
		{"not base64!", -1, nil, false},
	} {
		got, err := DecodeMetadata(tc.text)
		if got.PartitionTime != tc.time || !maps.Equal(got.Times, tc.times) || (err == nil) != tc.ok {
			t.Errorf("DecodeMetadata(%q) = %+v, %v; want %d, %v, ok %v", tc.text, got, err, tc.time, tc.times, tc.ok)
		}
	}
	for _, want := range []Metadata{
		{PartitionTime: -1}, {}, {PartitionTime: 1773186665472}, {PartitionTime: 1<<63 - 1},
		{PartitionTime: -1, Times: map[string]int64{"a": 0}},
		{PartitionTime: 5, Times: map[string]int64{"counts": 3, "counts/time": 5, "": 1<<63 - 1}},
	} {
		text, left := want.Encode()
		if got, err := DecodeMetadata(text); got.PartitionTime != want.PartitionTime || !maps.Equal(got.Times, want.Times) || left > 0 || err != nil {
			t.Errorf("round trip of %+v: %+v, %v, %d left out", want, got, err, left)
		}
	}
}

// javaMetadata is version 2 with a time, and entries behind it.
func javaMetadata(entries string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x02\x00\x00\x01\x9c\xda\x29\x4c\x00" + entries))
}

// What a broker would refuse is left out and counted.
func TestMetadataIsBounded(t *testing.T) {
	t.Parallel()
	m := Metadata{PartitionTime: 1, Times: make(map[string]int64)}
	for i := range 200 {
		m.Times[fmt.Sprintf("store-%d-%s", i, strings.Repeat("x", i))] = int64(i)
	}
	text, left := m.Encode()
	got, err := DecodeMetadata(text)
	if err != nil || len(text) > 4096 || len(got.Times)+left != 200 || left == 0 || len(got.Times) < 30 {
		t.Errorf("%d bytes, %d times, %d left out, %v", len(text), len(got.Times), left, err)
	}
}

func FuzzDecodeMetadata(f *testing.F) {
	f.Add("AgAAAZzaKUwA")
	f.Add(javaMetadata("\x00\x00\x00\x01\x00\x00\x00\x06counts\x00\x00\x01\x9c\xda\x29\x36\xa0"))
	f.Fuzz(func(t *testing.T, s string) {
		got, err := DecodeMetadata(s)
		if got.PartitionTime < -1 || err != nil && got.Times != nil {
			t.Errorf("DecodeMetadata(%q) = %+v, %v", s, got, err)
		}
		for name, at := range got.Times {
			if at < 0 {
				t.Errorf("DecodeMetadata(%q): %q at %d", s, name, at)
			}
		}
	})
}
