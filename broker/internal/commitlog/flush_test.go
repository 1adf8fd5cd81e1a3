package commitlog

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestWriteBatches writes small and large batches in any mixture: the file is their concatenation.
func TestWriteBatches(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l := &Log{files: newFiles(fs)}
	rng := rand.New(rand.NewPCG(5, 5))
	f, err := l.files.acquire("f", true)
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for range 4 {
		var batches []tailBatch
		at := int64(len(want))
		for range 1 + rng.IntN(12) {
			raw := make([]byte, []int{1, 500, 30_000, directBytes - 1, directBytes, 70_000}[rng.IntN(6)])
			for i := 0; i < len(raw); i += 97 {
				raw[i] = byte(rng.Uint32())
			}
			want = append(want, raw...)
			batches = append(batches, tailBatch{raw: raw})
		}
		if err := l.writeBatches(f, at, batches); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := readWhole(fs, "f"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(want))
	}
}

// TestFits fills segments to their limit, and takes a batch that is larger than one by itself.
func TestFits(t *testing.T) {
	t.Parallel()
	sized := func(sizes ...int) (all []tailBatch) {
		for i, n := range sizes {
			all = append(all, tailBatch{base: int64(i), next: int64(i) + 1, raw: make([]byte, n)})
		}
		return all
	}
	timed := func(times ...int64) (all []tailBatch) {
		for i, ts := range times {
			all = append(all, tailBatch{base: int64(i), next: int64(i) + 1, maxTime: ts, raw: make([]byte, 1)})
		}
		return all
	}
	for _, c := range []struct {
		size    int64
		batches []tailBatch
		want    int
	}{
		{0, sized(40, 60, 1), 2},
		{40, sized(60, 1), 1},
		{41, sized(60), 0},
		{0, sized(101, 1), 1},
		{0, []tailBatch{{base: 0, next: 1 << 31, raw: make([]byte, 1)}}, 0},
		{0, timed(1000, 1010, 1009, 1011), 3}, // by age, counted from the first batch
		{0, timed(1000, 1010, 5, -1, math.MinInt64, 1011), 5},
		{0, timed(-1, 7, math.MaxInt64), 3}, // without a time
		{1, timed(1010, 1011), 1},
	} {
		s := newSegment("00000000000000000000.log", 0)
		s.size, s.firstTime = c.size, 1000
		if got := (segmentLimits{bytes: 100, age: 10}).fits(s, c.batches); got != c.want {
			t.Errorf("at size %d: %d of %d batches, want %d", c.size, got, len(c.batches), c.want)
		}
	}
}
