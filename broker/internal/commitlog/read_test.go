package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/broker/internal/batch"
)

// where says where a partition's batches are.
var where = map[string]func(t testing.TB, l *Log) *Log{
	"tail":    func(_ testing.TB, l *Log) *Log { return l },
	"segment": func(t testing.TB, l *Log) *Log { return reopen(t, l) },
	"both": func(t testing.TB, l *Log) *Log {
		if err := l.checkpoint(false); err != nil {
			t.Fatal(err)
		}
		return l
	},
}

func reopen(t testing.TB, l *Log, machines ...Machine) *Log {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, l.cfg, machines...)
}

// TestReadEverywhere reads from every offset, with several limits, in memory and from rolled segments, and compares with what
// was written.
func TestReadEverywhere(t *testing.T) {
	t.Parallel()
	for name, put := range where {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(vfs.NewMem())
			cfg.SegmentBytes = 4 << 10
			l := open(t, cfg)
			p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
			rng := rand.New(rand.NewPCG(1, 1))
			var want [][]byte
			var bases []int64
			for range 60 {
				raw := plain(1+rng.IntN(10), rng.IntN(100)).raw()
				res, err := p.Append(raw, AppendOptions{})
				if err != nil {
					t.Fatal(err)
				}
				wait(t, l, res.LSN)
				want, bases = append(want, bytes.Clone(raw)), append(bases, res.BaseOffset)
			}
			id := p.topic.ID
			l = put(t, l)
			p = l.Partition(id, 0)
			end := p.Offsets().End
			for offset := range end {
				i, found := slices.BinarySearch(bases, offset)
				if !found {
					i-- // inside of a batch
				}
				for _, maxBytes := range []int{0, 1, 500, 3000, 1 << 20} {
					r, err := p.Read(offset, ReadOptions{MaxBytes: maxBytes, MinOneBatch: true})
					if err != nil {
						t.Fatal(err)
					}
					got := bytes.Join(r.Batches, nil)
					if len(got) != r.Bytes || len(got) < len(want[i]) || len(got) > max(maxBytes, len(want[i])) ||
						!bytes.HasPrefix(bytes.Join(want[i:], nil), got) {
						t.Fatalf("read at %d, at most %d bytes: got %d bytes", offset, maxBytes, len(got))
					}
					if rest := len(bytes.Join(want[i:], nil)) - len(got); r.More != (rest > 0) {
						t.Fatalf("read at %d, at most %d bytes: %d are left, more is %t", offset, maxBytes, rest, r.More)
					}
					if rng.IntN(2) == 0 {
						r.Release()
					}
				}
				if r, err := p.Read(offset, ReadOptions{MaxBytes: len(want[i]) - 1}); err != nil || r.Bytes != 0 || !r.More {
					t.Fatalf("read at %d: %d bytes, more %t, %v; the first batch does not fit", offset, r.Bytes, r.More, err)
				}
			}
		})
	}
}

// TestReadRelease: what is released is read into again, and what is not is left alone.
func TestReadRelease(t *testing.T) {
	t.Parallel()
	cfg := testConfig(vfs.NewMem())
	cfg.SegmentBytes = 8 << 20
	l := open(t, cfg)
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	const batches = 40
	for range batches {
		res, err := p.Append(plain(10, 10_000).raw(), AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wait(t, l, res.LSN)
	}
	id := p.topic.ID
	l = reopen(t, l)
	p = l.Partition(id, 0)
	read := func(n int64) ReadResult {
		r, err := p.Read(10*n, ReadOptions{MaxBytes: 250_000, MinOneBatch: true})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	kept := read(0)
	before := bytes.Clone(kept.Batches[0])
	made := make(map[*byte]bool)
	for i := range int64(1000) {
		r := read(1 + i%(batches-3))
		h, err := batch.ParseHeader(r.Batches[0])
		if err != nil || h.BaseOffset != 10*(1+i%(batches-3)) {
			t.Fatalf("read %d: a batch at %d, %v", i, h.BaseOffset, err)
		}
		made[&r.Batches[0][0]] = true
		r.Release()
		if r.Batches != nil {
			t.Fatal("batches are at hand that were released")
		}
		r.Release() // has nothing left to give back
	}
	if len(made) > 500 { // the race detector has the pool forget some
		t.Errorf("1000 reads used %d buffers", len(made))
	}
	if !bytes.Equal(kept.Batches[0], before) {
		t.Error("what was not released has changed")
	}
}

// TestAbortedFromSegments lists aborted transactions whose markers are in later segments than their data, with the indexes
// on disk, and with the indexes gone.
func TestAbortedFromSegments(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	cfg := testConfig(fs)
	cfg.SegmentBytes = 4 << 10
	l := open(t, cfg)
	topic := create(t, l, "t", 1, nil)
	p := l.Partition(topic.ID, 0)
	var want []AbortedTxn
	sequence := map[int64]int32{}
	for i := range 40 {
		id := int64(i % 3)
		b := transactional(id, 0, sequence[id], 5)
		res := b.append(t, l, p)
		sequence[id] += 5
		first := res.BaseOffset
		plain(3, 300).append(t, l, p)
		commit := i%2 == 0
		lsn, _, err := l.Commit(Update{Markers: []Marker{{TopicPartition: TopicPartition{topic.ID, 0}, ProducerID: id, Commit: commit}}})
		if err != nil {
			t.Fatal(err)
		}
		wait(t, l, lsn)
		if !commit {
			want = append(want, AbortedTxn{id, first})
		}
	}
	check := func(l *Log) {
		t.Helper()
		_, _, got := readAll(t, l.Partition(topic.ID, 0), 0, ReadCommitted)
		slices.SortFunc(got, func(a, b AbortedTxn) int { return int(a.FirstOffset - b.FirstOffset) })
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("aborted %v, want %v", got, want)
		}
	}
	check(l)
	l = reopen(t, l)
	check(l)
	segments := l.Partition(topic.ID, 0).mu.segments
	if len(segments) < 4 {
		t.Fatalf("%d segments", len(segments))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for i, s := range segments[:len(segments)-1] {
		if i%2 == 0 {
			if err := fs.Remove(s.indexPath()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		flip(t, fs, s.indexPath(), 20)
	}
	check(open(t, cfg))
}

// flip changes one byte of a file.
func flip(t testing.TB, fs vfs.FS, path string, at int64) {
	t.Helper()
	b, err := readWhole(fs, path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{b[at] ^ 0x10}, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSegmentBitFlip flips every byte of a segment, the 17 of each batch that Kafka's checksum does not cover included: a read
// that meets it fails, and says where. It never returns a wrong record. Verify finds all of them.
func TestSegmentBitFlip(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	cfg := testConfig(fs)
	cfg.SegmentBytes = 4 << 10
	l := open(t, cfg)
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	for range 3 {
		plain(2, 20).append(t, l, p)
	}
	id := p.topic.ID
	plain(10, 360).append(t, l, p) // seals the segment: the index of one that is written may grow while it is verified
	l = reopen(t, l)
	p = l.Partition(id, 0)
	good, err := p.Read(0, ReadOptions{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	path := p.mu.segments[0].path
	for at := range int64(good.Bytes) {
		flip(t, fs, path, at)
		r, err := p.Read(0, ReadOptions{MaxBytes: 1 << 20, MinOneBatch: true})
		var corrupt *CorruptionError
		if verr := l.Verify(ctx); !errors.As(verr, new(*CorruptionError)) {
			t.Fatalf("byte %d: verified: %v", at, verr)
		}
		leaderEpoch := at%(int64(good.Bytes)/3) >= 12 && at%(int64(good.Bytes)/3) < 16
		switch {
		case errors.As(err, &corrupt) && corrupt.Path == path:
		case err == nil && leaderEpoch: // no reader takes harm; the index has a checksum of it
		default:
			t.Fatalf("byte %d: read %d bytes, %v", at, r.Bytes, err)
		}
		flip(t, fs, path, at)
	}
}

// TestSnapshotBitFlip flips every byte of the snapshot: the directory is refused, and can be opened once it is mended.
func TestSnapshotBitFlip(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	cfg := testConfig(fs)
	m := newTxnMachine()
	l, err := Open(ctx, cfg, machineMap([]Machine{m}))
	if err != nil {
		t.Fatal(err)
	}
	transactional(7, 0, 0, 2).append(t, l, l.Partition(create(t, l, "t", 1, nil).ID, 0))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	size := 0
	if b, err := readWhole(fs, "data/snapshot"); err == nil {
		size = len(b)
	}
	for at := range int64(size) {
		flip(t, fs, "data/snapshot", at)
		_, err := Open(ctx, cfg, machineMap([]Machine{newTxnMachine()}))
		var corrupt *CorruptionError
		if !errors.As(err, &corrupt) || corrupt.Advice == "" {
			t.Fatalf("byte %d: %v", at, err)
		}
		flip(t, fs, "data/snapshot", at)
	}
	open(t, cfg, newTxnMachine())
}

// TestJournalBitFlip flips acknowledged bytes of the journal: the directory is refused.
func TestJournalBitFlip(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	l := open(t, testConfig(fs))
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	for range 5 {
		plain(2, 20).append(t, l, p)
	}
	size := l.journal.FileSize()
	for at := int64(0); at < size-600; at += 7 { // the last group may be a torn one, for all that the disk after this crash says
		crashed := fs.CrashClone(vfs.CrashCloneCfg{})
		flip(t, crashed, "data/journal/00000000000000000001.journal", at)
		_, err := Open(ctx, testConfig(crashed), nil)
		var corrupt *CorruptionError
		if !errors.As(err, &corrupt) {
			// Bytes of the file header that mean nothing are covered by its checksum too.
			t.Fatalf("byte %d of %d: %v", at, size, err)
		}
	}
}

func TestOffsetForTimestamp(t *testing.T) {
	t.Parallel()
	for name, put := range where {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(vfs.NewMem())
			cfg.SegmentBytes = 4 << 10
			l := open(t, cfg)
			p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
			rng := rand.New(rand.NewPCG(3, 3))
			var times []int64 // by offset
			for i := range 60 {
				b := producerBatch{id: -1, epoch: -1, sequence: -1}
				for range 1 + rng.IntN(8) {
					ts := int64(1000 + 10*i + rng.IntN(200)) // out of order, within and between batches
					times = append(times, ts)
					b.records = append(b.records, batch.Record{Timestamp: ts, Key: []byte("k"), Value: make([]byte, rng.IntN(80))})
				}
				raw := b.raw()
				if i%2 == 0 {
					raw = compress(t, raw, batch.Codec(i%5))
				}
				res, err := p.Append(raw, AppendOptions{})
				if err != nil {
					t.Fatal(err)
				}
				wait(t, l, res.LSN)
			}
			id := p.topic.ID
			l = put(t, l)
			p = l.Partition(id, 0)
			for ts := int64(990); ts < 1900; ts += 3 {
				want := TimestampOffset{Offset: -1, Timestamp: -1}
				if i := slices.IndexFunc(times, func(x int64) bool { return x >= ts }); i >= 0 {
					want = TimestampOffset{Offset: int64(i), Timestamp: times[i]}
				}
				if got, err := p.OffsetForTimestamp(ts, ReadUncommitted); err != nil || got != want {
					t.Fatalf("time %d: %+v, %v, want %+v", ts, got, err, want)
				}
			}
			highest := slices.Max(times)
			want := TimestampOffset{Offset: int64(slices.Index(times, highest)), Timestamp: highest}
			if got, err := p.OffsetForMaxTimestamp(ReadUncommitted); err != nil || got != want {
				t.Errorf("max timestamp: %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

// TestTimestampBelowStable does not find what a read_committed reader does not see.
func TestTimestampBelowStable(t *testing.T) {
	t.Parallel()
	l := open(t, testConfig(vfs.NewMem()))
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	plain(2, 10).append(t, l, p)                // times 1000 and 1001
	transactional(1, 0, 0, 5).append(t, l, p)   // up to 1004
	if err := l.checkpoint(false); err != nil { // into a segment
		t.Fatal(err)
	}
	for iso, want := range map[Isolation]TimestampOffset{
		ReadUncommitted: {Offset: 4, Timestamp: 1002},
		ReadCommitted:   {Offset: -1, Timestamp: -1},
	} {
		if got, err := p.OffsetForTimestamp(1002, iso); err != nil || got != want {
			t.Errorf("isolation %d: %+v, %v, want %+v", iso, got, err, want)
		}
	}
	if got, err := p.OffsetForMaxTimestamp(ReadCommitted); err != nil || got.Timestamp != 1001 || got.Offset != 1 {
		t.Errorf("max timestamp: %+v, %v", got, err)
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	l := open(t, testConfig(vfs.NewMem()))
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	edit := func(f func(b []byte)) []byte {
		raw := plain(3, 10).raw()
		f(raw)
		h, _ := batch.ParseHeader(raw)                                               // the numbers may be impossible
		batch.SetMaxTimestamp(raw, &h, h.MaxTimestamp, h.Attributes.LogAppendTime()) // the checksum anew
		return raw
	}
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"nothing":               {nil, ErrInvalidRecord},
		"cut off":               {plain(3, 10).raw()[:70], ErrCorruptBatch},
		"cut off early":         {plain(3, 10).raw()[:30], ErrCorruptBatch},
		"two batches":           {append(plain(3, 10).raw(), plain(3, 10).raw()...), ErrInvalidRecord},
		"checksum":              {func() []byte { b := plain(3, 10).raw(); b[80]++; return b }(), ErrCorruptBatch},
		"magic 1":               {func() []byte { b := plain(3, 10).raw(); b[16] = 1; return b }(), ErrInvalidRecord},
		"short message set":     {func() []byte { b := plain(3, 10).raw()[:34]; b[16] = 0; return b }(), ErrInvalidRecord},
		"base offset":           {edit(func(b []byte) { b[7] = 1 }), ErrInvalidRecord},
		"count":                 {edit(func(b []byte) { b[60] = 2 }), ErrInvalidRecord},
		"count and delta":       {edit(func(b []byte) { b[60], b[26] = 2, 1 }), ErrInvalidRecord},
		"no records":            {edit(func(b []byte) { b[60], b[23], b[24], b[25], b[26] = 0, 255, 255, 255, 255 }), ErrInvalidRecord},
		"negative count":        {edit(func(b []byte) { b[57] = 255 }), ErrInvalidRecord},
		"negative offset":       {edit(func(b []byte) { b[0] = 255 }), ErrInvalidRecord},
		"numbers and checksum":  {func() []byte { b := plain(3, 10).raw(); b[57] = 255; return b }(), ErrCorruptBatch},
		"codec 5":               {edit(func(b []byte) { b[22] = 5 }), ErrUnsupportedCompression},
		"control":               {edit(func(b []byte) { b[22] = 0x20 }), ErrInvalidRecord},
		"log append time":       {edit(func(b []byte) { b[22] = 0x08 }), ErrInvalidTimestamp},
		"delete horizon":        {edit(func(b []byte) { b[22] = 0x40 }), ErrInvalidRecord},
		"transactional":         {edit(func(b []byte) { b[22] = 0x10 }), ErrInvalidRecord},
		"no sequence":           {idempotent(1, 0, -1, 1).raw(), ErrInvalidRecord},
		"larger than a segment": {plain(400, 100).raw(), ErrBatchTooLarge},
	} {
		if _, err := p.Append(c.raw, AppendOptions{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if o := p.Offsets(); o.End != 0 {
		t.Errorf("something was appended: %+v", o)
	}
	// A false maximum timestamp is put right.
	raw := edit(func(b []byte) { b[42]++ })
	if _, err := p.Append(raw, AppendOptions{}); err != nil {
		t.Fatal(err)
	}
	if h := mustHeader(t, raw); h.MaxTimestamp != 1002 || batch.Verify(raw, &h) != nil {
		t.Errorf("max timestamp %d", h.MaxTimestamp)
	}
}

// TestMissingMaxTimestamp: a client that leaves the maximum timestamp out has it put right, also if it compresses. It is what retention
// and lookups by time go by.
func TestMissingMaxTimestamp(t *testing.T) {
	t.Parallel()
	l := open(t, testConfig(vfs.NewMem()))
	p := l.Partition(create(t, l, "t", 1, nil).ID, 0)
	for codec := batch.CodecNone; codec <= batch.CodecZstd; codec++ {
		raw := compress(t, plain(3, 10).raw(), codec)
		h := mustHeader(t, raw)
		batch.SetMaxTimestamp(raw, &h, batch.NoTimestamp, false)
		res, err := p.Append(raw, AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		wait(t, l, res.LSN)
		if h = mustHeader(t, raw); h.MaxTimestamp != 1002 || batch.Verify(raw, &h) != nil {
			t.Errorf("%v: max timestamp %d", codec, h.MaxTimestamp)
		}
	}
	if got, err := p.OffsetForTimestamp(1002, ReadUncommitted); err != nil || got.Offset != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestCompressedFaults: compressed batches are looked into where the topic's configs ask for it.
func TestCompressedFaults(t *testing.T) {
	t.Parallel()
	l := open(t, testConfig(vfs.NewMem()))
	for config, want := range map[string]error{"cleanup.policy=compact": ErrInvalidRecord, "message.timestamp.before.max.ms=1000": ErrInvalidTimestamp} {
		name, value, _ := strings.Cut(config, "=")
		p := l.Partition(create(t, l, name, 1, map[string]string{name: value}).ID, 0)
		b := plain(3, 10)
		for i := range b.records {
			b.records[i].Timestamp = l.now()
		}
		b.records[1] = batch.Record{} // no key, and of 1970
		_, err := p.Append(compress(t, b.raw(), batch.CodecGzip), AppendOptions{})
		if rerr, ok := errors.AsType[*RecordError](err); !ok || !errors.Is(err, want) || len(rerr.Faults) != 1 || rerr.Faults[0].Index != 1 {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// TestFaultsOfOneMoment: time passes while a batch is judged, and what is refused for its time names the record, whenever that was.
func TestFaultsOfOneMoment(t *testing.T) {
	t.Parallel()
	clock := newClock()
	cfg := testConfig(vfs.NewMem())
	cfg.Now = func() time.Time { clock.Add(time.Millisecond); return clock.Now() }
	l := open(t, cfg)
	p := l.Partition(create(t, l, "t", 1, map[string]string{"message.timestamp.after.max.ms": "1000"}).ID, 0)
	taken, refused := 0, 0
	for ahead := range int64(20) { // so that some are judged at the very limit
		b := plain(1, 10)
		for b.records[0].Timestamp = clock.Now().UnixMilli() + 1010 + ahead; ; {
			_, err := p.Append(b.raw(), AppendOptions{})
			if err == nil {
				taken++
				break
			}
			refused++
			if rerr, ok := errors.AsType[*RecordError](err); !ok || !errors.Is(err, ErrInvalidTimestamp) || len(rerr.Faults) != 1 || rerr.Total != 1 {
				t.Fatalf("%d refused: %v", refused, err)
			}
		}
	}
	if taken != 20 || refused < 20 {
		t.Errorf("%d taken, %d refused", taken, refused)
	}
}

// TestFaultsAreBounded: all records at fault are counted, and the first thousand named.
func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	cfg := testConfig(vfs.NewMem())
	cfg.SegmentBytes = 1 << 20
	l := open(t, cfg)
	p := l.Partition(create(t, l, "t", 1, map[string]string{"cleanup.policy": "compact"}).ID, 0)
	b := plain(maxRecordFaults+7, 10)
	for i := range b.records {
		b.records[i].Key = nil
	}
	_, err := p.Append(b.raw(), AppendOptions{})
	rerr, ok := errors.AsType[*RecordError](err)
	if !ok || !errors.Is(err, ErrInvalidRecord) || rerr.Total != maxRecordFaults+7 || len(rerr.Faults) != maxRecordFaults || rerr.Faults[999].Index != 999 {
		t.Fatalf("%v", err)
	}
	if text := err.Error(); !strings.HasPrefix(text, "1007 invalid records: record 0: a ") || strings.Count(text, "; record") != 2 {
		t.Error(text)
	}
}

func TestCreateTopicRefuses(t *testing.T) {
	t.Parallel()
	l := open(t, testConfig(vfs.NewMem()))
	create(t, l, "a.b", 1, nil)
	for _, c := range []struct {
		spec TopicSpec
		want error
	}{
		{TopicSpec{Name: "a.b", Partitions: 1}, ErrTopicExists},
		{TopicSpec{Name: "a_b", Partitions: 1}, ErrInvalidTopicName},
		{TopicSpec{Name: "", Partitions: 1}, ErrInvalidTopicName},
		{TopicSpec{Name: "..", Partitions: 1}, ErrInvalidTopicName},
		{TopicSpec{Name: "a/b", Partitions: 1}, ErrInvalidTopicName},
		{TopicSpec{Name: fmt.Sprintf("%0250d", 0), Partitions: 1}, ErrInvalidTopicName},
		{TopicSpec{Name: "c", Partitions: 0}, ErrInvalidPartitions},
		{TopicSpec{Name: "c", Partitions: MaxPartitions + 1}, ErrInvalidPartitions},
		{TopicSpec{Name: "c", Partitions: 1, Configs: map[string]string{"cleanup.policy": "shred"}}, ErrInvalidConfig},
		{TopicSpec{Name: "c", Partitions: 1, Configs: map[string]string{"compression.type": "lz4"}}, ErrInvalidConfig},
		{TopicSpec{Name: "c", Partitions: 1, Configs: map[string]string{"colour": "red"}}, ErrInvalidConfig},
	} {
		if _, _, err := l.CreateTopic(c.spec); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.spec, err, c.want)
		}
	}
	if got := l.Topics(); len(got) != 1 {
		t.Errorf("topics %v", got)
	}
}
