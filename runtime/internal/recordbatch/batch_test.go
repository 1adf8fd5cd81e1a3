package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

var _ task.Batch = (*Reader)(nil)

// at returns a copy of a finished batch as the broker would serve it: with base offset and leader epoch.
func at(batch []byte, offset int64, epoch int32) []byte {
	b := bytes.Clone(batch)
	binary.BigEndian.PutUint64(b[posBaseOffset:], uint64(offset))
	binary.BigEndian.PutUint32(b[posLeaderEpoch:], uint32(epoch))
	return b
}

// seal makes length and checksum right after a test changed a batch.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[posLength:], uint32(len(b)-frameBytes))
	binary.BigEndian.PutUint32(b[posCRC:], crc32.Checksum(b[posAttributes:], castagnoli))
	return b
}

// batchOf returns a batch with one record for each value, at the offset.
func batchOf(t testing.TB, offset int64, p Producer, values ...string) []byte {
	t.Helper()
	b := NewBuilder(0, 0)
	for _, v := range values {
		if err := b.Append(nil, []byte(v), 1000+offset, nil); err != nil {
			t.Fatal(err)
		}
	}
	return at(b.Finish(p), offset, 3)
}

// marker returns the control batch that ends a transaction.
func marker(t testing.TB, offset, producerID int64, commit bool) []byte {
	t.Helper()
	key := []byte{0, 0, 0, 0}
	if commit {
		key[3] = 1
	}
	b := NewBuilder(0, 0)
	if err := b.Append(key, []byte{0, 0, 0, 0, 0, 0}, 1, nil); err != nil {
		t.Fatal(err)
	}
	batch := at(b.Finish(Producer{ID: producerID, Sequence: -1, Transactional: true}), offset, 3)
	batch[posAttributes+1] |= attrControl
	return seal(batch)
}

func clone(raw *topology.Raw) topology.Raw {
	c := *raw
	c.Key, c.Value = bytes.Clone(raw.Key), bytes.Clone(raw.Value)
	c.Headers = nil
	for _, h := range raw.Headers {
		c.Headers = append(c.Headers, topology.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	return c
}

func readAllRecords(t testing.TB, f Fetched) ([]topology.Raw, *Reader, error) {
	t.Helper()
	r, err := NewReader(f)
	if err != nil {
		return nil, nil, err
	}
	var out []topology.Raw
	var raw topology.Raw
	for {
		ok, err := r.Next(&raw)
		if err != nil {
			return out, r, err
		}
		if !ok {
			return out, r, nil
		}
		out = append(out, clone(&raw))
	}
}

func show(r topology.Raw) string {
	return fmt.Sprintf("%d@%d %#v=%#v %#v", r.Offset, r.Timestamp, r.Key, r.Value, r.Headers)
}

// randomRecords are records with every kind of null, empty, and length that crosses a varint's size.
func randomRecords(rng *rand.Rand, n int) []topology.Raw {
	field := func() []byte {
		switch rng.IntN(6) {
		case 0:
			return nil
		case 1:
			return []byte{}
		case 2:
			return bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(300))
		default:
			return bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(20))
		}
	}
	records := make([]topology.Raw, n)
	for i := range records {
		r := &records[i]
		r.Key, r.Value = field(), field()
		r.Timestamp = 1_700_000_000_000 + rng.Int64N(1<<uint(1+rng.IntN(40))) - 1<<20
		for range rng.IntN(4) - 1 {
			r.Headers = append(r.Headers, topology.Header{Key: string(field()), Value: field()})
		}
	}
	return records
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		want := randomRecords(rng, 1+rng.IntN(200))
		b := NewBuilder(0, 0)
		for i := range want {
			want[i].Offset = 77 + int64(i)
			if err := b.Append(want[i].Key, want[i].Value, want[i].Timestamp, want[i].Headers); err != nil {
				t.Fatal(err)
			}
		}
		batch := at(b.Finish(Producer{ID: 9, Epoch: 2, Sequence: 5}), 77, 4)
		got, r, err := readAllRecords(t, Fetched{Records: batch, From: 77})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d records, want %d", seed, len(got), len(want))
		}
		for i := range want {
			if show(got[i]) != show(want[i]) {
				t.Fatalf("seed %d record %d:\n got %s\nwant %s", seed, i, show(got[i]), show(want[i]))
			}
		}
		if r.End() != 77+int64(len(want)) || r.LeaderEpoch() != 4 || r.Bytes() != len(batch) {
			t.Fatalf("seed %d: end %d, epoch %d, bytes %d", seed, r.End(), r.LeaderEpoch(), r.Bytes())
		}
	}
}

// The bytes were written down by hand from the protocol guide.
func TestBuilderGolden(t *testing.T) {
	t.Parallel()
	b := NewBuilder(0, 0)
	if err := b.Append([]byte("k"), []byte("v"), 1700000000000, []topology.Header{{Key: "h", Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	got := b.Finish(Producer{ID: 1, Epoch: 0, Sequence: 0})
	want := []byte{
		0, 0, 0, 0, 0, 0, 0, 0, // base offset
		0, 0, 0, 61 + 13 - 12, // length
		0xff, 0xff, 0xff, 0xff, // leader epoch
		2,
		0, 0, 0, 0, // CRC, filled in below
		0, 0, // attributes
		0, 0, 0, 0, // last offset delta
		0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, // base timestamp
		0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, // max timestamp
		0, 0, 0, 0, 0, 0, 0, 1, // producer id
		0, 0, // producer epoch
		0, 0, 0, 0, // base sequence
		0, 0, 0, 1, // count
		24, 0, 0, 0, 2, 'k', 2, 'v', 2, 2, 'h', 2, '1', // lengths are zigzag: 24 is 12 bytes
	}
	binary.BigEndian.PutUint32(want[posCRC:], crc32.Checksum(want[posAttributes:], castagnoli))
	if !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
}

func TestBuilderLimits(t *testing.T) {
	t.Parallel()
	b := NewBuilder(100, 200)
	for _, step := range []struct {
		value int
		want  error
	}{
		{200, ErrTooLarge},
		{20, nil},
		{20, ErrFull},
		{120, ErrFull},
		{190, ErrTooLarge},
	} {
		if err := b.Append(nil, make([]byte, step.value), 0, nil); !errors.Is(err, step.want) {
			t.Fatalf("append %d bytes: got %v, want %v", step.value, err, step.want)
		}
	}
	if b.Len() != 1 || b.Bytes() > 100 {
		t.Fatalf("%d records, %d bytes after refused appends", b.Len(), b.Bytes())
	}
	b.Reset()
	if b.Len() != 0 || b.Bytes() != HeaderBytes {
		t.Fatalf("%d records, %d bytes after Reset", b.Len(), b.Bytes())
	}
	if err := b.Append(nil, make([]byte, 120), 0, nil); err != nil {
		t.Fatalf("one record longer than the target: %v", err)
	}
	if err := b.Append(nil, nil, 0, nil); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
}

// A batch is as long as its bound at most, and may be just that long; Limit lowers the bound of an empty one, and raises it no higher than
// it was.
func TestBuilderBounds(t *testing.T) {
	t.Parallel()
	const record = 1 + 1 + 1 + 1 + 1 + 1 + 20 + 1 // length, attributes, two deltas, no key, value and its length, no headers
	for what, tc := range map[string]struct{ target, most, limit, want int }{
		"target":             {HeaderBytes + 3*record, 1000, 0, 3},
		"one byte less":      {HeaderBytes + 3*record - 1, 1000, 0, 2},
		"target above most":  {1000, HeaderBytes + 2*record, 0, 2},
		"limit below target": {1000, 2000, HeaderBytes + 2*record, 2},
		"limit above target": {HeaderBytes + 3*record, 1000, 2000, 3},
	} {
		b := NewBuilder(tc.target, tc.most)
		if tc.limit > 0 {
			b.Limit(1)
			if err := b.Append(nil, nil, 0, nil); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: a record in a batch of a byte: %v", what, err)
			}
			b.Limit(tc.limit)
		}
		var err error
		for err == nil {
			err = b.Append(nil, make([]byte, 20), 0, nil)
		}
		if !errors.Is(err, ErrFull) || b.Len() != tc.want || b.Bytes() != HeaderBytes+tc.want*record {
			t.Errorf("%s: %d records, %d bytes, %v, want %d", what, b.Len(), b.Bytes(), err, tc.want)
		}
	}
}

// Whether a record is too large does not depend on what is in the batch already, though it takes more bytes behind others.
func TestLargestRecord(t *testing.T) {
	t.Parallel()
	const limit = HeaderBytes + 2 + 1 + 1 + 1 + 1 + 2 + 200 + 1 // length, attributes, two deltas, no key, value and its length, no headers
	b := NewBuilder(0, limit)
	largest := make([]byte, 200)
	for _, others := range []int{0, 1} {
		for range others {
			if err := b.Append(nil, nil, 0, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Append(nil, make([]byte, 201), 1<<40, nil); !errors.Is(err, ErrTooLarge) {
			t.Errorf("one byte too many, behind %d: %v", others, err)
		}
		err := b.Append(nil, largest, 1<<40, nil)
		switch {
		case others == 0 && (err != nil || b.Bytes() != limit):
			t.Errorf("alone: %v, %d bytes", err, b.Bytes())
		case others > 0 && !errors.Is(err, ErrFull):
			t.Errorf("behind another: %v, want ErrFull", err)
		}
		b.Reset()
	}
}

func TestTimestamps(t *testing.T) {
	t.Parallel()
	b := NewBuilder(0, 0)
	for _, ts := range []int64{50, 20, 90, math.MinInt64 / 2} {
		if err := b.Append(nil, nil, ts, nil); err != nil {
			t.Fatal(err)
		}
	}
	batch := b.Finish(NoProducer)
	if h := parseHeader(batch); h.baseTimestamp != 50 || h.maxTimestamp != 90 {
		t.Fatalf("base %d, max %d", h.baseTimestamp, h.maxTimestamp)
	}
	batch = bytes.Clone(batch)
	batch[posAttributes+1] |= attrLogAppendTime
	got, _, err := readAllRecords(t, Fetched{Records: seal(batch)})
	if err != nil || len(got) != 4 || got[1].Timestamp != 90 {
		t.Fatalf("log append time: %v, %v", got, err)
	}
}

// Times before the epoch are times.
func TestNegativeTimestamps(t *testing.T) {
	t.Parallel()
	b := NewBuilder(0, 0)
	for _, ts := range []int64{-50, -20, -90} {
		if err := b.Append(nil, nil, ts, nil); err != nil {
			t.Fatal(err)
		}
	}
	if h := parseHeader(b.Finish(NoProducer)); h.baseTimestamp != -50 || h.maxTimestamp != -20 {
		t.Errorf("base %d, max %d", h.baseTimestamp, h.maxTimestamp)
	}
}

// A batch that is finished can be added to, compressed in another way, and finished again.
func TestFinishAgain(t *testing.T) {
	t.Parallel()
	b := NewBuilder(0, 0)
	for i, codec := range []Codec{Gzip, Zstd, Zstd, None, LZ4} {
		b.Compress(codec)
		for range 2 {
			if err := b.Append(nil, make([]byte, 500), 0, nil); err != nil {
				t.Fatal(err)
			}
			batch := bytes.Clone(b.Finish(NoProducer))
			got, _, err := readAllRecords(t, Fetched{Records: batch})
			if h := parseHeader(batch); err != nil || len(got) != b.Len() || h.codec() != codec {
				t.Errorf("batch %d: %d of %d records by %v, want %v: %v", i, len(got), b.Len(), h.codec(), codec, err)
			}
		}
	}
	b.Compress(Zstd)
	if h := parseHeader(b.Finish(NoProducer)); h.codec() != Zstd {
		t.Error("it is compressed as before")
	}
}

func compress(t testing.TB, c Codec, src []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var err error
	switch c {
	case Gzip:
		w := gzip.NewWriter(&out)
		_, err = w.Write(src)
		err = errors.Join(err, w.Close())
	case LZ4:
		w := lz4.NewWriter(&out)
		_, err = w.Write(src)
		err = errors.Join(err, w.Close())
	case Zstd:
		var w *zstd.Encoder
		if w, err = zstd.NewWriter(&out); err == nil {
			_, err = w.Write(src)
			err = errors.Join(err, w.Close())
		}
	case Snappy:
		out.Write(snappy.Encode(nil, src))
	case None:
		out.Write(src)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// compressed returns the batch with its records compressed.
func compressed(t testing.TB, c Codec, batch []byte) []byte {
	t.Helper()
	out := append(bytes.Clone(batch[:HeaderBytes]), compress(t, c, batch[HeaderBytes:])...)
	out[posAttributes+1] |= byte(c)
	return seal(out)
}

func TestCodecs(t *testing.T) {
	t.Parallel()
	var values []string
	for i := range 2000 {
		values = append(values, fmt.Sprintf("value %d", i))
	}
	plain := batchOf(t, 5, NoProducer, values...)
	for _, c := range []Codec{None, Gzip, Snappy, LZ4, Zstd} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			batch := compressed(t, c, plain)
			for range 3 { // again with recycled buffers and readers
				got, r, err := readAllRecords(t, Fetched{Records: append(bytes.Clone(batch), at(batch, 5000, 3)...), From: 6})
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != 2*len(values)-1 || string(got[0].Value) != values[1] || got[len(got)-1].Offset != 6999 {
					t.Fatalf("%d records", len(got))
				}
				if c != None && r.Bytes() <= 2*len(batch) {
					t.Fatalf("Bytes() = %d does not count what was decompressed", r.Bytes())
				}
				r.Release()
			}
			if c == None {
				return
			}
			cut := seal(bytes.Clone(batch[:len(batch)-9]))
			if _, _, err := readAllRecords(t, Fetched{Records: cut}); err == nil {
				t.Fatal("a truncated stream was read without an error")
			}
		})
	}
}

// snappy-java frames blocks of 32 KiB; Java clients write this.
func TestSnappyXerial(t *testing.T) {
	t.Parallel()
	plain := batchOf(t, 0, NoProducer, "a", "b", "c")
	records := plain[HeaderBytes:]
	framed := append(bytes.Clone(xerial), 0, 0, 0, 1, 0, 0, 0, 1)
	for _, part := range [][]byte{records[:10], records[10:]} {
		block := snappy.Encode(nil, part)
		framed = binary.BigEndian.AppendUint32(framed, uint32(len(block)))
		framed = append(framed, block...)
	}
	batch := append(bytes.Clone(plain[:HeaderBytes]), framed...)
	batch[posAttributes+1] |= byte(Snappy)
	got, _, err := readAllRecords(t, Fetched{Records: seal(batch)})
	if err != nil || len(got) != 3 || string(got[2].Value) != "c" {
		t.Fatalf("got %v, %v", got, err)
	}
	for n := range len(framed) {
		batch := append(bytes.Clone(plain[:HeaderBytes]), framed[:n]...)
		batch[posAttributes+1] |= byte(Snappy)
		if _, _, err := readAllRecords(t, Fetched{Records: seal(batch)}); err == nil {
			t.Fatalf("%d of %d bytes were read without an error", n, len(framed))
		}
	}
}

func join(batches ...[]byte) []byte { return bytes.Join(batches, nil) }

func TestReadCommitted(t *testing.T) {
	t.Parallel()
	p, q := Producer{ID: 1, Transactional: true}, Producer{ID: 2, Transactional: true}
	set := join(
		batchOf(t, 0, p, "p0", "p1"),         // aborted at 6
		batchOf(t, 2, q, "q2"),               // committed at 7
		batchOf(t, 3, NoProducer, "plain3"),  // always shown
		batchOf(t, 4, p, "p4", "p5"),         // aborted at 6
		marker(t, 6, 1, false),               //
		marker(t, 7, 2, true),                //
		batchOf(t, 8, p, "p8"),               // committed at 9
		marker(t, 9, 1, true),                //
		batchOf(t, 10, q, "q10"),             // aborted at 12
		batchOf(t, 11, Producer{ID: 2}, "i"), // idempotent, not transactional
		marker(t, 12, 2, false),
	)
	aborted := []Aborted{{ProducerID: 2, FirstOffset: 10}, {ProducerID: 1, FirstOffset: 0}} // unsorted on purpose
	for _, tc := range []struct {
		name string
		f    Fetched
		want []string
	}{
		{"committed", Fetched{Records: set, ReadCommitted: true, Aborted: aborted}, []string{"q2", "plain3", "p8", "i"}},
		{"uncommitted", Fetched{Records: set, Aborted: aborted}, []string{"p0", "p1", "q2", "plain3", "p4", "p5", "p8", "q10", "i"}},
		{"from inside", Fetched{Records: set, From: 5, ReadCommitted: true, Aborted: aborted}, []string{"p8", "i"}},
		{"only a marker", Fetched{Records: marker(t, 12, 2, false), From: 12, ReadCommitted: true}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, r, err := readAllRecords(t, tc.f)
			if err != nil {
				t.Fatal(err)
			}
			var values []string
			for _, g := range got {
				values = append(values, string(g.Value))
			}
			if fmt.Sprint(values) != fmt.Sprint(tc.want) {
				t.Errorf("got %v, want %v", values, tc.want)
			}
			if r.End() != 13 {
				t.Errorf("End() = %d, want 13: past the marker", r.End())
			}
		})
	}
}

func TestIncompleteBatch(t *testing.T) {
	t.Parallel()
	first, second := batchOf(t, 0, NoProducer, "a", "b"), batchOf(t, 2, NoProducer, "c")
	set := join(first, second)
	for n := range len(set) {
		got, r, err := readAllRecords(t, Fetched{Records: set[:n]})
		if n < len(first) {
			if _, ok := errors.AsType[*CorruptError](err); !ok {
				t.Fatalf("%d bytes: got %v, want a *CorruptError", n, err)
			}
			continue
		}
		if err != nil || len(got) != 2 || r.End() != 2 {
			t.Fatalf("%d bytes: %d records, end %d, %v", n, len(got), r.End(), err)
		}
	}
}

// Compaction leaves gaps, and empty batches where it removed everything.
func TestCompacted(t *testing.T) {
	t.Parallel()
	empty := bytes.Clone(batchOf(t, 10, NoProducer, "x", "y")[:HeaderBytes])
	binary.BigEndian.PutUint32(empty[posCount:], 0)
	got, r, err := readAllRecords(t, Fetched{Records: join(batchOf(t, 3, NoProducer, "a"), seal(empty), batchOf(t, 20, NoProducer, "b")), From: 1})
	if err != nil || len(got) != 2 || got[1].Offset != 20 || r.End() != 21 {
		t.Fatalf("got %v, end %d, %v", got, r.End(), err)
	}
	got, r, err = readAllRecords(t, Fetched{Records: seal(empty), From: 10})
	if err != nil || len(got) != 0 || r.End() != 12 {
		t.Fatalf("got %v, end %d, %v", got, r.End(), err)
	}
}

func TestCorrupt(t *testing.T) {
	t.Parallel()
	good := batchOf(t, 7, NoProducer, "some", "values", "here")
	for i := posLength; i < len(good); i++ {
		if i >= posLeaderEpoch && i < posMagic {
			continue // the checksum leaves out the leader epoch, which the broker sets
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x15
		if _, _, err := readAllRecords(t, Fetched{Records: bad}); err == nil {
			t.Errorf("byte %d changed: no error", i)
		}
	}
	for name, change := range map[string]func(b []byte){
		"more records than there are": func(b []byte) { binary.BigEndian.PutUint32(b[posCount:], 4) },
		"fewer records":               func(b []byte) { binary.BigEndian.PutUint32(b[posCount:], 2) },
		"count negative":              func(b []byte) { binary.BigEndian.PutUint32(b[posCount:], math.MaxUint32) },
		"count huge": func(b []byte) {
			binary.BigEndian.PutUint32(b[posCount:], math.MaxInt32)
			binary.BigEndian.PutUint32(b[posLastOffsetDelta:], math.MaxInt32-1)
		},
		"last delta too small": func(b []byte) { binary.BigEndian.PutUint32(b[posLastOffsetDelta:], 1) },
		"last delta negative":  func(b []byte) { binary.BigEndian.PutUint32(b[posLastOffsetDelta:], math.MaxUint32) },
		"offset negative":      func(b []byte) { binary.BigEndian.PutUint64(b[posBaseOffset:], math.MaxUint64) },
		"offset overflow":      func(b []byte) { binary.BigEndian.PutUint64(b[posBaseOffset:], math.MaxInt64) },
		"unknown codec":        func(b []byte) { b[posAttributes+1] |= 5 },
		"not gzip":             func(b []byte) { b[posAttributes+1] |= byte(Gzip) },
		"not snappy":           func(b []byte) { b[posAttributes+1] |= byte(Snappy) },
		"not lz4":              func(b []byte) { b[posAttributes+1] |= byte(LZ4) },
		"not zstd":             func(b []byte) { b[posAttributes+1] |= byte(Zstd) },
		"record length":        func(b []byte) { b[HeaderBytes] = 0x7e },
		"record too short":     func(b []byte) { b[HeaderBytes] = 0 },
		"offset delta":         func(b []byte) { b[HeaderBytes+3] = 2 },
		"key length":           func(b []byte) { b[HeaderBytes+4] = 0x70 },
		"null length -2":       func(b []byte) { b[HeaderBytes+4] = 3 },
		"header count":         func(b []byte) { b[HeaderBytes+10] = 0x7e },
		"last offset delta":    func(b []byte) { b[HeaderBytes+11+13+3] = 6 },
	} {
		bad := bytes.Clone(good)
		change(bad)
		r, err := NewReader(Fetched{Records: seal(bad)})
		var raw topology.Raw
		for ok := true; err == nil && ok; {
			ok, err = r.Next(&raw)
		}
		if _, ok := errors.AsType[*CorruptError](err); !ok {
			t.Errorf("%s: got %v, want a *CorruptError", name, err)
			continue
		}
		if r != nil {
			if _, again := r.Next(&raw); !errors.Is(again, err) {
				t.Errorf("%s: the error does not stick: %v", name, again)
			}
		}
	}
	for _, offset := range []int64{7, 9} {
		if _, _, err := readAllRecords(t, Fetched{Records: join(good, at(good, offset, 3))}); err == nil {
			t.Errorf("a batch at offset %d was read behind offset 9", offset)
		}
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	n := 0
	r, err := NewReader(Fetched{Records: batchOf(t, 0, NoProducer, "a"), Released: func() { n++ }})
	if err != nil {
		t.Fatal(err)
	}
	r.Release()
	r.Release()
	if n != 1 {
		t.Fatalf("Released was called %d times", n)
	}
	if ok, err := r.Next(new(topology.Raw)); ok || err != nil {
		t.Fatalf("Next after Release: %v, %v", ok, err)
	}
}

func TestAllocations(t *testing.T) {
	b := NewBuilder(0, 0)
	key, value := make([]byte, 16), make([]byte, 100)
	headers := []topology.Header{{Key: "trace", Value: []byte("1234")}}
	fill := func() {
		b.Reset()
		for i := range 1000 {
			if err := b.Append(key, value, int64(i), headers); err != nil {
				t.Fatal(err)
			}
		}
		b.Finish(NoProducer)
	}
	fill()
	if n := testing.AllocsPerRun(10, fill); n != 0 {
		t.Errorf("building 1000 records allocates %v times", n)
	}
	batch := bytes.Clone(b.Finish(NoProducer))
	read := testing.AllocsPerRun(10, func() {
		r, err := NewReader(Fetched{Records: batch})
		if err != nil {
			t.Fatal(err)
		}
		var raw topology.Raw
		for ok := true; ok && err == nil; {
			ok, err = r.Next(&raw)
		}
		r.Release()
	})
	if read > 20 { // the reader, the slab of headers as it grows, one header key
		t.Errorf("reading 1000 records allocates %v times", read)
	}
}
