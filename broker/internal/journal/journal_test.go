package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	ctx   = context.Background()
	owner = [16]byte{1, 2, 3}
)

func newDir(t testing.TB) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("j", 0o755); err != nil {
		t.Fatal(err)
	}
	return fs
}

func openJournal(t testing.TB, fs vfs.FS, epoch uint64, lsn LSN, spares ...string) *Journal {
	t.Helper()
	j, err := Open(Config{FS: fs, Dir: "j", Owner: owner, FileBytes: 1 << 20}, epoch, lsn, spares)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func payload(lsn LSN) []byte {
	return fmt.Appendf(nil, "entry %d %s", lsn, make([]byte, int(lsn)*7%50))
}

// enqueue adds entries up to an LSN, each in a group of its own if sync is set.
func enqueue(t testing.TB, j *Journal, upTo LSN, sync bool) {
	t.Helper()
	for lsn := j.Enqueued() + 1; lsn <= upTo; lsn++ {
		p := payload(lsn)
		got, err := j.Enqueue(NewEntry(p[:3], p[3:]))
		if err != nil || got != lsn {
			t.Fatalf("enqueue %d: %d, %v", lsn, got, err)
		}
		if sync {
			wait(t, j, lsn)
		}
	}
	wait(t, j, upTo)
}

func wait(t testing.TB, j *Journal, lsn LSN) {
	t.Helper()
	if err := j.Wait(ctx, lsn); err != nil {
		t.Fatal(err)
	}
}

func closeJournal(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// replayAll replays from a start and checks that every entry is the right one.
func replayAll(fs vfs.FS, from Start) (Replayed, error) {
	next := from.LSN
	return Replay(fs, "j", owner, from, func(lsn LSN, b []byte) error {
		next++
		if lsn != next || string(b) != string(payload(lsn)) {
			return fmt.Errorf("entry %d is %q, expected entry %d", lsn, b, next)
		}
		return nil
	}, func() error { return nil })
}

func read(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open("j/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, info.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create("j/"+name, writeCategory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(slices.Clone(b)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	j := openJournal(t, fs, 1, 0)
	enqueue(t, j, 10, true)
	enqueue(t, j, 50, false)
	closeJournal(t, j)
	for from := range LSN(51) {
		got, err := replayAll(fs, Start{1, from})
		if err != nil || got.Last != 50 || got.Entries != int64(50-from) {
			t.Fatalf("from %d: %+v, %v", from, got, err)
		}
	}
}

// TestRotate goes through several files, with entries enqueued all the time.
func TestRotate(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	j := openJournal(t, fs, 1, 0)
	var g sync.WaitGroup
	stop := make(chan struct{})
	g.Go(func() {
		for lsn := LSN(1); ; lsn++ {
			if _, err := j.Enqueue(NewEntry(nil, payload(lsn))); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
			if lsn%50 == 0 {
				wait(t, j, lsn)
			}
		}
	})
	from := Start{Epoch: 1}
	for epoch := uint64(2); epoch < 30; epoch++ {
		if err := j.Prepare(epoch); err != nil {
			t.Fatal(err)
		}
		lsn, err := j.Rotate()
		if err != nil {
			t.Fatal(err)
		}
		wait(t, j, lsn+1)
		if epoch%3 == 0 {
			if err := j.Release(epoch); err != nil {
				t.Fatal(err)
			}
			from = Start{epoch, lsn}
		}
	}
	close(stop)
	g.Wait()
	closeJournal(t, j)
	got, err := replayAll(fs, from)
	if err != nil || got.Last != j.Durable() || got.Last <= from.LSN {
		t.Fatalf("%+v, %v, enqueued %d", got, err, j.Enqueued())
	}
}

// stale returns the content of a file that was used in an earlier epoch and is longer than what the tests write over it.
func stale(t testing.TB) []byte {
	t.Helper()
	fs := newDir(t)
	j := openJournal(t, fs, 1, 0)
	enqueue(t, j, 60, true)
	closeJournal(t, j)
	return read(t, fs, fileName(1))
}

// TestTornTail cuts the last group at every byte, with nothing, zeros or an earlier use's entries behind it. The entries before are
// there, and it is no corruption.
func TestTornTail(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	write(t, fs, fileName(1), stale(t))
	j := openJournal(t, fs, 2, 100, fileName(1))
	enqueue(t, j, 110, true)
	before := read(t, fs, fileName(2))
	size := int(j.FileSize())
	enqueue(t, j, 113, false)
	after := read(t, fs, fileName(2))
	end := int(j.FileSize())
	closeJournal(t, j)
	if end < size+groupSize+3*entryHeader {
		t.Fatalf("%d bytes, then %d: the last group is not cut", size, end)
	}
	for cut := size; cut < end; cut++ {
		for kind, tail := range map[string][]byte{"cut": nil, "zeros": make([]byte, end-cut), "stale": before[cut:]} {
			write(t, fs, fileName(2), append(slices.Clone(after[:cut]), tail...))
			got, err := replayAll(fs, Start{2, 100})
			if err != nil || got.Last < 110 || got.Last > 113 {
				t.Fatalf("%s at byte %d: %+v, %v", kind, cut, got, err)
			}
		}
	}
}

// TestTornSectors has the sectors of the last group land in any order.
func TestTornSectors(t *testing.T) {
	t.Parallel()
	const sector = 512
	fs := newDir(t)
	write(t, fs, fileName(1), stale(t))
	j := openJournal(t, fs, 2, 100, fileName(1))
	enqueue(t, j, 110, true)
	before := read(t, fs, fileName(2))
	for lsn := LSN(111); lsn <= 140; lsn++ {
		if _, err := j.Enqueue(NewEntry(payload(lsn), nil)); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, j, 140)
	after := read(t, fs, fileName(2))
	closeJournal(t, j)
	before = append(before, make([]byte, max(0, len(after)-len(before)))...)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		torn := slices.Clone(before[:len(after)])
		for at := 0; at < len(after); at += sector {
			if rng.IntN(2) == 0 {
				copy(torn[at:min(at+sector, len(after))], after[at:])
			}
		}
		// What was synced before the group is there in any case.
		copy(torn, before[:fileHeaderSize])
		write(t, fs, fileName(2), torn)
		got, err := replayAll(fs, Start{2, 100})
		var corrupt *CorruptionError
		if errors.As(err, &corrupt) {
			continue // the group of a later round has landed, which the disk does only after the earlier ones
		}
		if err != nil || got.Last < 110 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
}

// TestBitFlip changes every byte of what was acknowledged: either it does not matter, or the journal is refused.
func TestBitFlip(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	j := openJournal(t, fs, 1, 0)
	enqueue(t, j, 10, true)
	if err := j.Prepare(2); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Rotate(); err != nil {
		t.Fatal(err)
	}
	enqueue(t, j, 13, true)
	closeJournal(t, j)
	for _, name := range []string{fileName(1), fileName(2)} {
		good := read(t, fs, name)
		refused := 0
		for at := range good {
			for _, mask := range []byte{1, 0x80} {
				bad := slices.Clone(good)
				bad[at] ^= mask
				write(t, fs, name, bad)
				got, err := replayAll(fs, Start{1, 0})
				var corrupt *CorruptionError
				switch {
				case errors.As(err, &corrupt):
					refused++
					if corrupt.Path == "" || corrupt.Advice == "" {
						t.Fatalf("byte %d of %s: no path or advice: %v", at, name, err)
					}
				case err != nil:
					t.Fatalf("byte %d of %s: %v", at, name, err)
				case got.Last != 13:
					t.Fatalf("byte %d of %s: silently lost what follows entry %d", at, name, got.Last)
				}
			}
		}
		if refused < len(good) {
			t.Errorf("%s: only %d of %d flips refused", name, refused, 2*len(good))
		}
		write(t, fs, name, good)
	}
}

// TestVouchedFar: the group that vouches for a damaged one is found wherever it begins, also where the search reads in two parts.
func TestVouchedFar(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 1, groupSize / 2, groupSize - 1, groupSize} {
		h := fileHeader{epoch: 1, owner: owner}
		first := make([]byte, searchChunk-before-groupSize-entryHeader)
		var p pending
		for lsn, body := range [][]byte{first, nil} {
			e := NewEntry(nil, body)
			p.add(LSN(1+lsn), &e)
		}
		b := h.encode()
		one := pending{first: 1, entries: p.entries[:1]}
		b, _ = one.appendGroup(b, 0, 1, 0)
		if at := len(b) - fileHeaderSize; at != searchChunk-before {
			t.Fatalf("the second group begins at %d", at)
		}
		b, _ = p.appendGroup(b, 1, 1, 1)
		b[fileHeaderSize]++
		fs := newDir(t)
		write(t, fs, fileName(1), b)
		_, err := Replay(fs, "j", owner, Start{1, 0}, func(lsn LSN, _ []byte) error {
			t.Errorf("entry %d is applied", lsn)
			return nil
		}, func() error { return nil })
		if !isCorruption(err) {
			t.Errorf("%d bytes before the next part: %v", before, err)
		}
	}
}

// TestMissingFile takes one file away.
func TestMissingFile(t *testing.T) {
	t.Parallel()
	for missing := uint64(1); missing <= 2; missing++ {
		fs := newDir(t)
		j := openJournal(t, fs, 1, 0)
		for epoch := uint64(2); epoch <= 3; epoch++ {
			enqueue(t, j, LSN(epoch)*10, true)
			if err := j.Prepare(epoch); err != nil {
				t.Fatal(err)
			}
			if _, err := j.Rotate(); err != nil {
				t.Fatal(err)
			}
		}
		enqueue(t, j, 40, true)
		closeJournal(t, j)
		if err := fs.Remove("j/" + fileName(missing)); err != nil {
			t.Fatal(err)
		}
		_, err := replayAll(fs, Start{1, 0})
		var corrupt *CorruptionError
		if !errors.As(err, &corrupt) {
			t.Errorf("without file %d: %v", missing, err)
		}
	}
}

// TestOwnerIsTold: the owner hears of a durable LSN before anybody that waits for it goes on.
func TestOwnerIsTold(t *testing.T) {
	t.Parallel()
	var j *Journal
	told := LSN(0)
	j, err := Open(Config{FS: newDir(t), Dir: "j", Owner: owner, FileBytes: 1 << 20, Durable: func(lsn LSN) {
		if j.Durable() != told {
			t.Errorf("entry %d is durable, and the owner was told of %d", j.Durable(), told)
		}
		told = lsn
	}}, 1, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	enqueue(t, j, 10, true)
	closeJournal(t, j)
	if told != 10 {
		t.Errorf("told of %d", told)
	}
}

// TestMissingStart: the file that a replay begins with has to be there, though a later one may be as empty as it.
func TestMissingStart(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	j := openJournal(t, fs, 1, 0)
	enqueue(t, j, 3, true)
	if err := j.Prepare(2); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
	if err := fs.Remove("j/" + fileName(1)); err != nil {
		t.Fatal(err)
	}
	if got, err := replayAll(fs, Start{1, 0}); !isCorruption(err) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestBadFileHeader: a file with a bad header was never in use if there is no group in it, and else holds what may have been acknowledged,
// though nothing vouches for it.
func TestBadFileHeader(t *testing.T) {
	t.Parallel()
	for _, entries := range []LSN{0, 1} {
		fs := newDir(t)
		j := openAsync(t, fs) // so that nothing is written after the last entry
		enqueue(t, j, entries, false)
		closeJournal(t, j)
		good := read(t, fs, fileName(1))
		for what, change := range map[string]func(b []byte) []byte{
			"damaged": func(b []byte) []byte { b[20]++; return b },
			"another's": func(b []byte) []byte {
				return append((&fileHeader{epoch: 7, owner: owner}).encode(), b[fileHeaderSize:]...)
			},
			"cut off": func(b []byte) []byte { return b[:fileHeaderSize-1] },
		} {
			bad := change(slices.Clone(good))
			write(t, fs, fileName(1), bad)
			got, err := replayAll(fs, Start{1, 0})
			if refused := entries > 0 && len(bad) > fileHeaderSize; isCorruption(err) != refused || !refused && (err != nil || got.Last != 0) {
				t.Errorf("%s, with %d entries: %+v, %v", what, entries, got, err)
			}
		}
	}
	fs := newDir(t)
	j := openJournal(t, fs, 1, 0)
	closeJournal(t, j)
	if _, err := Replay(fs, "j", [16]byte{9}, Start{1, 0}, nil, nil); !isCorruption(err) {
		t.Errorf("of another directory: %v", err)
	}
}

// TestReplayedTells: of the highest epoch, and of any file that was not synced as it was written.
func TestReplayedTells(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	j := openAsync(t, fs)
	enqueue(t, j, 3, false)
	closeJournal(t, j)
	j = openJournal(t, fs, 2, 3)
	enqueue(t, j, 5, true)
	closeJournal(t, j)
	if got, err := replayAll(fs, Start{1, 0}); err != nil || !got.Async || got.Epoch != 2 || got.Last != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := replayAll(fs, Start{2, 3}); err != nil || got.Async || got.Epoch != 2 {
		t.Errorf("from the second file: %+v, %v", got, err)
	}
}

// failingFS fails writes or syncs once told to.
type failingFS struct {
	vfs.FS
	mu   sync.Mutex
	fail string
}

var errDisk = errors.New("no disk")

func (fs *failingFS) set(op string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.fail = op
}

func (fs *failingFS) check(op string) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.fail == op {
		return errDisk
	}
	return nil
}

func (fs *failingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return &failingFile{f, fs}, err
}

type failingFile struct {
	vfs.File
	fs *failingFS
}

func (f *failingFile) Write(b []byte) (int, error) {
	if err := f.fs.check("write"); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f *failingFile) SyncData() error {
	if err := f.fs.check("sync"); err != nil {
		return err
	}
	return f.File.SyncData()
}

func openAsync(t *testing.T, fs vfs.FS) *Journal {
	t.Helper()
	j, err := Open(Config{FS: fs, Dir: "j", Owner: owner, FileBytes: 1 << 20, Async: true}, 1, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// TestFailure fails one write or sync. Everybody that waits is told, nothing is written any more although the disk is well again, and
// what was acknowledged before is there.
func TestFailure(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"write", "sync"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			fs := &failingFS{FS: newDir(t)}
			j := openJournal(t, fs, 1, 0)
			enqueue(t, j, 5, true)
			fs.set(op)
			lsn, err := j.Enqueue(NewEntry(nil, payload(6)))
			if err != nil {
				t.Fatal(err)
			}
			if err := j.Wait(ctx, lsn); !errors.Is(err, ErrStopped) || !errors.Is(err, errDisk) {
				t.Fatalf("wait: %v", err)
			}
			<-j.Stopped()
			fs.set("")
			if _, err := j.Enqueue(NewEntry(nil, payload(7))); !errors.Is(err, ErrStopped) {
				t.Fatalf("enqueue: %v", err)
			}
			if err := j.Wait(ctx, lsn); !errors.Is(err, ErrStopped) {
				t.Fatalf("wait again: %v", err)
			}
			if err := j.Wait(ctx, 5); err != nil {
				t.Fatalf("wait for what was durable: %v", err)
			}
			if err := j.Close(); !errors.Is(err, ErrStopped) {
				t.Fatalf("close: %v", err)
			}
			got, err := replayAll(fs, Start{1, 0})
			if err != nil || got.Last < 5 || got.Last > 6 {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
}

// TestPrepareFails: a file whose header is not on the disk is not gone on in, and the journal goes on in the one that it has.
func TestPrepareFails(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"write", "sync"} {
		fs := &failingFS{FS: newDir(t)}
		// Async: nothing is written after the last entry, when the disk fails already.
		j := openAsync(t, fs)
		enqueue(t, j, 5, true)
		fs.set(op)
		if err := j.Prepare(2); !errors.Is(err, errDisk) {
			t.Errorf("%s: prepare: %v", op, err)
		}
		if _, err := j.Rotate(); err == nil {
			t.Errorf("%s: there is nothing to go on in", op)
		}
		fs.set("")
		enqueue(t, j, 10, true)
		if err := j.Prepare(2); err != nil {
			t.Fatalf("%s: prepare again: %v", op, err)
		}
		if _, err := j.Rotate(); err != nil {
			t.Fatal(err)
		}
		enqueue(t, j, 15, true)
		closeJournal(t, j)
		if got, err := replayAll(fs, Start{1, 0}); err != nil || got.Last != 15 {
			t.Errorf("%s: %+v, %v", op, got, err)
		}
	}
}

// TestLaterFormat: a file of a format to come, whose groups cannot even be told from nothing, is refused, and not taken for a file that a
// crash left unready.
func TestLaterFormat(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	j := openJournal(t, fs, 1, 0)
	enqueue(t, j, 3, true)
	closeJournal(t, j)
	h := fileHeader{epoch: 2, owner: owner}
	b := h.encode()
	b[7]++
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	write(t, fs, fileName(2), append(b, "groups of another form"...))
	_, err := replayAll(fs, Start{1, 0})
	if corrupt, ok := errors.AsType[*CorruptionError](err); !ok || corrupt.Advice != adviceVersion || corrupt.Path != "j/"+fileName(2) {
		t.Errorf("replay: %v", err)
	}
	if err := fs.Remove("j/" + fileName(1)); err != nil {
		t.Fatal(err)
	}
	if used, err := Used(fs, "j"); err != nil || used != "j/"+fileName(2) {
		t.Errorf("used: %q, %v", used, err)
	}
}
