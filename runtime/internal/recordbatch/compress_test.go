package recordbatch

import (
	"bytes"
	"fmt"
	"testing"
)

// TestCompress: what was compressed is read again, with every codec and every header; a batch that would not get shorter is left
// alone; a builder that is used again begins anew.
func TestCompress(t *testing.T) {
	t.Parallel()
	for codec := None; codec.Valid(); codec++ {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			b := NewBuilder(0, 0)
			b.Compress(codec)
			for _, n := range []int{1000, 1, 300} {
				b.Reset()
				var want [][]byte
				for i := range n {
					v := fmt.Appendf(nil, "value %d", i)
					if n == 1 {
						v = []byte{1}
					}
					if err := b.Append([]byte("key"), v, int64(1000+i), nil); err != nil {
						t.Fatal(err)
					}
					want = append(want, v)
				}
				for _, p := range []Producer{{ID: 7, Epoch: 1, Sequence: 5, Transactional: true}, {ID: 8, Epoch: 2, Sequence: 9}} {
					raw := bytes.Clone(b.Finish(p))
					h, err := checkHeader(raw)
					if err != nil {
						t.Fatal(err)
					}
					if long := n > 1 && codec != None; long != (h.codec() != None) || long && (h.codec() != codec || len(raw) >= 3*b.Bytes()/4) {
						t.Errorf("%d records: %v, %d bytes of %d", n, h.codec(), len(raw), b.Bytes())
					}
					if h.producerID != p.ID || h.transactional() != p.Transactional {
						t.Errorf("header %+v, want %+v", h, p)
					}
					got, _, err := readAllRecords(t, Fetched{Records: raw})
					if err != nil || len(got) != len(want) {
						t.Fatalf("read %d records of %d: %v", len(got), len(want), err)
					}
					for i := range want {
						if !bytes.Equal(got[i].Value, want[i]) {
							t.Fatalf("record %d is %q, want %q", i, got[i].Value, want[i])
						}
					}
				}
			}
		})
	}
}
