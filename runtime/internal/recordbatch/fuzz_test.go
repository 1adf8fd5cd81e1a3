package recordbatch

import (
	"bytes"
	"errors"
	"testing"

	"github.com/millrace-io/millrace/topology"
)

// FuzzDecodeRecords reads any bytes as a record set. Whatever comes in, there is a result or a *CorruptError, offsets grow,
// and End lies past them. Each input is also tried with its checksums made right, to get behind them.
func FuzzDecodeRecords(f *testing.F) {
	plain := batchOf(f, 7, NoProducer, "a", "", "ccc")
	f.Add(plain, int64(0), true)
	for _, c := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		f.Add(compressed(f, c, plain), int64(8), false)
	}
	f.Add(join(batchOf(f, 0, Producer{ID: 1, Transactional: true}, "p"), marker(f, 1, 1, false)), int64(0), true)
	f.Fuzz(func(t *testing.T, data []byte, from int64, committed bool) {
		check(t, data, from, committed)
		check(t, resealed(data), from, committed)
	})
}

// resealed makes the checksum of each complete batch right.
func resealed(data []byte) []byte {
	data = bytes.Clone(data)
	for rest := data; ; {
		batch, after, ok, err := frame(rest)
		if !ok || err != nil {
			return data
		}
		seal(batch)
		rest = after
	}
}

func check(t *testing.T, data []byte, from int64, committed bool) {
	corrupt := func(err error) bool {
		_, ok := errors.AsType[*CorruptError](err)
		return ok
	}
	r, err := NewReader(Fetched{Records: data, From: from, ReadCommitted: committed, Aborted: []Aborted{{1, 0}, {1, 5}}})
	if err != nil {
		if !corrupt(err) {
			t.Fatalf("error of another type: %v", err)
		}
		return
	}
	defer r.Release()
	last := from - 1
	var raw topology.Raw
	for {
		ok, err := r.Next(&raw)
		if err != nil && !corrupt(err) {
			t.Fatalf("error of another type: %v", err)
		}
		if !ok {
			break
		}
		if raw.Offset <= last || raw.Offset >= r.End() {
			t.Fatalf("offset %d after %d, end %d", raw.Offset, last, r.End())
		}
		last = raw.Offset
	}
	if r.End() < from {
		t.Fatalf("End() = %d before %d", r.End(), from)
	}
}
