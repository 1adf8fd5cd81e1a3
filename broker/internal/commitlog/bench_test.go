package commitlog

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/broker/internal/batch"
)

// nullFS takes writes and syncs for granted, so that a benchmark shows the CPU of the log alone.
type nullFS struct{ vfs.FS }

type nullFile struct{ vfs.File }

func (f nullFile) Write(b []byte) (int, error)            { return len(b), nil }
func (f nullFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (f nullFile) Sync() error                            { return nil }
func (f nullFile) SyncData() error                        { return nil }

func (fs nullFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, c, o...)
	return nullFile{f}, err
}

func (fs nullFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return nullFile{f}, err
}

func (fs nullFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(old, name, c)
	return nullFile{f}, err
}

// benchBatch makes a batch of 100-byte records that is about size bytes long.
func benchBatch(size int) (raw []byte, n int) {
	n = max(1, size/100)
	records := make([]batch.Record, n)
	for i := range records {
		records[i] = batch.Record{Timestamp: int64(1000 + i), Key: fmt.Appendf(nil, "key-%06d", i), Value: make([]byte, 82)}
	}
	return batch.Build(batch.Header{ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1}, records), n
}

// BenchmarkAppend is the CPU of an append with everything that follows from it: journal, tail, segment, checkpoint. The copy of the
// batch that each round needs is part of it. Expected: three checksums and three copies of a byte, 10 to 20 ns for 100 bytes.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{16 << 10, 128 << 10, 900 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			l, err := Open(ctx, Config{FS: nullFS{vfs.Default}, Dir: b.TempDir(), Logger: quiet}, nil)
			if err != nil {
				b.Fatal(err)
			}
			topic, _, err := l.CreateTopic(TopicSpec{Name: "t", Partitions: 1})
			if err != nil {
				b.Fatal(err)
			}
			p := l.Partition(topic.ID, 0)
			raw, n := benchBatch(size)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			began := cpuTime()
			var last LSN
			for b.Loop() {
				res, err := p.Append(append([]byte(nil), raw...), AppendOptions{})
				if err != nil {
					b.Fatal(err)
				}
				last = res.LSN
			}
			if err := l.Wait(ctx, last); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64((cpuTime()-began).Nanoseconds())/float64(b.N*n), "cpu-ns/record")
			b.StopTimer()
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkAppendSync is one producer that waits for each batch, on the disk of the temporary directory.
func BenchmarkAppendSync(b *testing.B) {
	l, err := Open(ctx, Config{FS: vfs.Default, Dir: b.TempDir(), Logger: quiet}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	}()
	topic, _, err := l.CreateTopic(TopicSpec{Name: "t", Partitions: 1})
	if err != nil {
		b.Fatal(err)
	}
	p := l.Partition(topic.ID, 0)
	raw, _ := benchBatch(16 << 10)
	b.ReportAllocs()
	for b.Loop() {
		res, err := p.Append(append([]byte(nil), raw...), AppendOptions{})
		if err == nil {
			err = l.Wait(ctx, res.LSN)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads 1 MiB at a time, from memory and from segments in the page cache.
func BenchmarkRead(b *testing.B) {
	for _, from := range []string{"tail", "segment"} {
		b.Run(from, func(b *testing.B) {
			cfg := Config{FS: vfs.Default, Dir: b.TempDir(), Logger: quiet, Durability: Async}
			l, err := Open(ctx, cfg, nil)
			if err != nil {
				b.Fatal(err)
			}
			topic, _, err := l.CreateTopic(TopicSpec{Name: "t", Partitions: 1})
			if err != nil {
				b.Fatal(err)
			}
			raw, n := benchBatch(16 << 10)
			var last LSN
			for range 1024 {
				res, err := l.Partition(topic.ID, 0).Append(append([]byte(nil), raw...), AppendOptions{})
				if err != nil {
					b.Fatal(err)
				}
				last = res.LSN
			}
			if err := l.Wait(ctx, last); err != nil {
				b.Fatal(err)
			}
			if from == "segment" {
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
				if l, err = Open(ctx, cfg, nil); err != nil {
					b.Fatal(err)
				}
			}
			p := l.Partition(topic.ID, 0)
			end := p.Offsets().HighWatermark
			b.ReportAllocs()
			began := cpuTime()
			var at, read int64
			for b.Loop() {
				r, err := p.Read(at, ReadOptions{MaxBytes: 1 << 20, MinOneBatch: true, Isolation: ReadCommitted})
				if err != nil {
					b.Fatal(err)
				}
				got := int64(r.Bytes / len(raw) * n)
				r.Release()
				read += got
				if at += got; at >= end {
					at = 0
				}
			}
			b.ReportMetric(float64((cpuTime()-began).Nanoseconds())/float64(read), "cpu-ns/record")
			b.StopTimer()
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
