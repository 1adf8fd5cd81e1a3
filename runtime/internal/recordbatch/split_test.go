package recordbatch

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// A copy holds what was kept, bit for bit, with its notes; the original is as it was.
func TestCopy(t *testing.T) {
	t.Parallel()
	for _, codec := range []Codec{None, Zstd} {
		b := NewBuilder(1<<16, 0)
		b.Compress(codec)
		var all []string
		for i := range 100 {
			r := topology.Raw{Key: fmt.Appendf(nil, "key %d", i), Value: make([]byte, i), Timestamp: int64(i) * 1_000_000}
			if i%3 == 0 {
				r.Key = nil
			}
			if i%5 == 0 {
				r.Headers = []topology.Header{{Key: "h", Value: []byte{1}}, {Key: "null"}}
			}
			if err := b.Append(r.Key, r.Value, r.Timestamp, r.Headers); err != nil {
				t.Fatal(err)
			}
			b.Note(&task.Origin{Offset: int64(i)})
			all = append(all, show(r))
		}
		before := slices.Clone(b.Finish(NoProducer))
		for name, keep := range map[string]func(int) bool{
			"all":    func(int) bool { return true },
			"none":   func(int) bool { return false },
			"odd":    func(i int) bool { return i%2 == 1 },
			"second": func(i int) bool { return i >= 50 },
		} {
			c := NewBuilder(200, 300) // its own bounds do not count
			if err := b.Copy(c, keep); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i, s := range all {
				if !keep(i) {
					continue
				}
				if o, ok := c.Origin(len(want)); !ok || o.Offset != int64(i) {
					t.Errorf("%s: record %d has origin %+v, %v", name, i, o, ok)
				}
				want = append(want, s)
			}
			if c.Len() != len(want) {
				t.Fatalf("%s: %d records, want %d", name, c.Len(), len(want))
			}
			if len(want) == 0 {
				continue
			}
			copied := c.Finish(NoProducer)
			if h := parseHeader(copied); h.codec() != codec {
				t.Errorf("%s: compressed by %v, not %v", name, h.codec(), codec)
			}
			records, _, err := readAllRecords(t, Fetched{Records: copied})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range records {
				r.Offset = 0
				got = append(got, show(r))
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%s: record %d is %s, want %s", name, i, got[i], want[i])
				}
			}
		}
		if !slices.Equal(before, b.Finish(NoProducer)) {
			t.Error("the original has changed")
		}
		b.Reset()
		if _, ok := b.Origin(0); ok {
			t.Error("notes survive Reset")
		}
	}
	empty := NewBuilder(0, 0)
	if err := empty.Copy(NewBuilder(0, 0), func(int) bool { return true }); err != nil {
		t.Error(err)
	}
}

// Whoever was given a batch may still be reading it when it is copied, or finished for the same producer once more: not a byte of it changes.
func TestCopyOfWhatIsLent(t *testing.T) {
	t.Parallel()
	for _, codec := range []Codec{None, Zstd} {
		b := NewBuilder(1<<16, 0)
		b.Compress(codec)
		for range 2 {
			if err := b.Append(nil, make([]byte, 1000), 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		p := Producer{ID: 7, Epoch: 1, Sequence: 3, Transactional: true}
		lent := b.Finish(p)
		before := slices.Clone(lent)
		if err := b.Copy(NewBuilder(0, 0), func(int) bool { return true }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(lent, before) {
			t.Error("the copy has changed what was lent")
		}
		lent[7] = 1 // of the base offset, which is 0: the header, written anew, would say so
		if b.Finish(p); lent[7] != 1 {
			t.Error("the header is written again for the same producer")
		}
		p.Sequence++
		if b.Finish(p); lent[7] != 0 {
			t.Error("the header is not written for another sequence")
		}
		if err := b.Append(nil, nil, 1, nil); err != nil {
			t.Fatal(err)
		}
		if h := parseHeader(b.Finish(p)); h.count != 3 {
			t.Errorf("%d records after another one was added, want 3", h.count)
		}
	}
}
