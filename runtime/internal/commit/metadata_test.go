package commit

import "testing"

func TestMetadata(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text string
		time int64
		ok   bool
	}{
		{"", -1, true},
		{"AgAAAAAAAAAA", 0, true},
		{"AgAAAZzaKUwA", 1773186665472, true},
		{"AQAAAZzaKUwA", 1773186665472, true},         // version 1
		{"AgAAAZzaKUwAAAAAAQ==", 1773186665472, true}, // operators' entries behind
		{"Av//////////", -1, true},                    // Java's UNKNOWN
		{"AwAAAZzaKUwA", -1, false},                   // a version to come
		{"AgAA", -1, false},
		{"not base64!", -1, false},
	} {
		got, err := DecodeMetadata(tc.text)
		if got != tc.time || (err == nil) != tc.ok {
			t.Errorf("DecodeMetadata(%q) = %d, %v; want %d, ok %v", tc.text, got, err, tc.time, tc.ok)
		}
	}
	for _, want := range []int64{-1, 0, 1773186665472, 1<<63 - 1} {
		if got, err := DecodeMetadata(EncodeMetadata(want)); got != want || err != nil {
			t.Errorf("round trip of %d: %d, %v", want, got, err)
		}
	}
}

func FuzzDecodeMetadata(f *testing.F) {
	f.Add("AgAAAZzaKUwA")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := DecodeMetadata(s); got < -1 || err != nil && got != -1 {
			t.Errorf("DecodeMetadata(%q) = %d, %v", s, got, err)
		}
	})
}
