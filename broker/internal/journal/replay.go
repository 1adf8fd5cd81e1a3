package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FileInfo names a journal file.
type FileInfo struct {
	Name  string
	Epoch uint64
}

// List returns the journal files in dir, sorted by epoch.
func List(fs vfs.FS, dir string) ([]FileInfo, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var files []FileInfo
	for _, name := range names {
		if epoch, ok := parseFileName(name); ok {
			files = append(files, FileInfo{Name: name, Epoch: epoch})
		}
	}
	slices.SortFunc(files, func(a, b FileInfo) int {
		if a.Epoch < b.Epoch {
			return -1
		}
		return 1
	})
	return files, nil
}

// Used returns the path of a journal file in dir that holds a group, or is of a format that is not known, or "" if there is none.
func Used(fs vfs.FS, dir string) (string, error) {
	files, err := List(fs, dir)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		r := replay{fs: fs, dir: dir, torn: true}
		r.tornAt.Path = fs.PathJoin(dir, f.Name)
		err := r.look(f, func(src *source) error {
			if _, _, err := src.header(); err != nil {
				return err
			}
			return r.search(src, f.Epoch, 0, true)
		})
		var found *CorruptionError
		if errors.As(err, &found) {
			return found.Path, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// Start says where a replay begins: with the entry after LSN, which is in the file of Epoch or a later one.
type Start struct {
	Epoch uint64
	LSN   LSN
}

// Replayed is what a replay found.
type Replayed struct {
	Last    LSN    // the last entry replayed, or the start
	Epoch   uint64 // the highest of all files: the next one to use is above it
	Entries int64
	Async   bool // some file was written without a sync per group: what was readable once may be missing now
	// Torn tells of a group that was begun and never acknowledged, with which the replay ended. Empty if there was none to see.
	Torn string
}

// Replay calls apply for every entry after the start, in order, and pause between groups. The payload may be kept. A torn tail ends the replay (J5); damage to
// what was once durable is a *CorruptionError, and nothing may be written then.
func Replay(fs vfs.FS, dir string, owner [16]byte, from Start,
	apply func(LSN, []byte) error, pause func() error) (Replayed, error) {
	r := replay{fs: fs, dir: dir, owner: owner, apply: apply, pause: pause}
	r.found.Last, r.found.Epoch = from.LSN, from.Epoch
	files, err := List(fs, dir)
	if err != nil {
		return r.found, err
	}
	files = slices.DeleteFunc(files, func(f FileInfo) bool { return f.Epoch < from.Epoch })
	if len(files) == 0 || files[0].Epoch != from.Epoch {
		return r.found, &CorruptionError{Path: fs.PathJoin(dir, fileName(from.Epoch)),
			Err: fmt.Errorf("the file is missing"), Advice: adviceRestore}
	}
	for _, f := range files {
		r.found.Epoch = f.Epoch
		if err := r.look(f, func(src *source) error { return r.file(f, src) }); err != nil {
			return r.found, err
		}
	}
	return r.found, nil
}

const adviceRestore = "nothing was changed: restore the data directory from a copy, " +
	"or, to give up what it holds, move it away and start with an empty one"

const adviceVersion = "nothing was changed: open the directory with the version of millrace that wrote it, or a later one"

// replay is one run over the files. Once it has met a bad entry it only looks for a header that vouches for it.
type replay struct {
	fs    vfs.FS
	dir   string
	owner [16]byte
	apply func(LSN, []byte) error
	pause func() error
	found Replayed

	torn    bool
	tornAt  CorruptionError // what is to be reported if the bad entry turns out to have been durable
	scratch []byte
}

// look opens a file for f.
func (r *replay) look(f FileInfo, with func(*source) error) error {
	path := r.fs.PathJoin(r.dir, f.Name)
	in, err := r.fs.Open(path)
	if err != nil {
		return fmt.Errorf("open journal file: %w", err)
	}
	info, err := in.Stat()
	if err == nil {
		err = with(&source{r: in, size: info.Size(), path: path})
	}
	if cerr := in.Close(); err == nil {
		err = cerr
	}
	return err
}

// file replays one file.
func (r *replay) file(f FileInfo, src *source) error {
	h, bad, err := src.header()
	if err != nil {
		return err
	}
	if bad == nil && h.epoch != f.Epoch {
		bad = fmt.Errorf("file header has epoch %d", h.epoch)
	}
	if bad == nil && h.owner != r.owner {
		return &CorruptionError{Path: src.path, Err: fmt.Errorf("the file belongs to another data directory"), Advice: adviceRestore}
	}
	if bad != nil {
		// A crash left a file that was not yet ready to be used, and then nothing is in it (J3).
		r.bad(src.path, 0, bad)
		return r.search(src, f.Epoch, 0, true)
	}
	r.found.Async = r.found.Async || h.async
	return r.groups(src, f.Epoch)
}

// groups replays a file's groups up to the first bad place, and searches what follows it. Every file but the last ends with one:
// what an earlier use of the file has left, which is no group of this epoch. The next file tells whether something was lost
// there: it goes on with the very next entry only if nothing was (J3).
func (r *replay) groups(src *source, epoch uint64) error {
	at := int64(fileHeaderSize)
	if r.torn {
		goesOn, err := r.goesOn(src, epoch)
		if err != nil {
			return err
		}
		r.torn = !goesOn
	}
	for at < src.size && !r.torn {
		n, err := r.group(src, epoch, at)
		if err != nil {
			return err
		}
		at += n
		if err := r.pause(); err != nil {
			return err
		}
	}
	if !r.torn {
		return nil
	}
	return r.search(src, epoch, at, false)
}

// goesOn reports whether the file begins with the entry after the last one replayed.
func (r *replay) goesOn(src *source, epoch uint64) (bool, error) {
	if src.size < fileHeaderSize+groupSize {
		return false, nil
	}
	b, err := src.read(fileHeaderSize, groupSize, nil)
	if err != nil {
		return false, err
	}
	h, ok := decodeGroupHeader(b)
	return ok && h.epoch == epoch && h.first == r.found.Last+1, nil
}

// group replays the group at a position, and returns how far it goes. A bad entry in it is noted, and not an error.
func (r *replay) group(src *source, epoch uint64, at int64) (int64, error) {
	head, err := src.read(at, int(min(groupSize, src.size-at)), nil)
	if err != nil {
		return 0, err
	}
	h, ok := decodeGroupHeader(head)
	if !ok || h.epoch != epoch {
		r.bad(src.path, at, fmt.Errorf("no group header of epoch %d", epoch))
		return 0, nil
	}
	if h.first > r.found.Last+1 {
		// The group can be read, and so what is missing before it was durable, or the group was not acknowledged either.
		r.bad(src.path, at, fmt.Errorf("the group begins with entry %d", h.first))
		return 0, nil
	}
	if int64(h.bytes) > src.size-at-groupSize {
		r.bad(src.path, at, fmt.Errorf("group of %d bytes goes beyond the end of the file", h.bytes))
		return 0, nil
	}
	rest, err := src.read(at+groupSize, int(h.bytes), make([]byte, 0, h.bytes))
	if err != nil {
		return 0, err
	}
	for i := range h.count {
		lsn := h.first + LSN(i)
		var payload []byte
		if payload, rest, err = decodeEntry(rest, lsn, epoch); err != nil {
			r.bad(src.path, at, err)
			r.found.Torn = fmt.Sprintf("%s at byte %d: %v", src.path, at, err)
			return 0, nil
		}
		if lsn <= r.found.Last {
			continue // before the start
		}
		if err := r.apply(lsn, payload); err != nil {
			return 0, &CorruptionError{Path: src.path, Offset: at, Err: fmt.Errorf("entry %d: %w", lsn, err), Advice: adviceRestore}
		}
		r.found.Last = lsn
		r.found.Entries++
	}
	if len(rest) > 0 {
		return 0, &CorruptionError{Path: src.path, Offset: at, Err: fmt.Errorf("%d bytes after the group's last entry", len(rest)),
			Advice: adviceRestore}
	}
	return groupSize + int64(h.bytes), nil
}

// bad notes the first bad place: the replay ends before it.
func (r *replay) bad(path string, at int64, err error) {
	if r.torn {
		return
	}
	r.torn = true
	r.found.Torn = ""
	r.tornAt = CorruptionError{Path: path, Offset: at, Err: err, Advice: adviceRestore}
}

// searchChunk is how much a search reads at once.
const searchChunk = 1 << 20

// search looks for group headers from a position on, wherever they may begin, and fails if one vouches for the entry that was
// found to be bad (J2, J5), or, if the file's own header is bad, if there is any.
func (r *replay) search(src *source, epoch uint64, at int64, any bool) error {
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], groupMagic)
	for at < src.size {
		var err error
		r.scratch, err = src.read(at, int(min(searchChunk, src.size-at)), r.scratch[:0])
		if err != nil {
			return err
		}
		buf := r.scratch
		for i := 0; ; i++ {
			k := bytes.Index(buf[i:], magic[:])
			if k < 0 {
				break
			}
			i += k
			if h, ok := decodeGroupHeader(buf[i:]); ok && h.epoch == epoch && (any || h.durable > r.found.Last) {
				err := r.tornAt
				err.Err = fmt.Errorf("%w; entries up to %d can be read, but the group at byte %d of %s says that those up to %d are durable",
					err.Err, r.found.Last, at+int64(i), src.path, h.durable)
				return &err
			}
		}
		if at+int64(len(buf)) >= src.size {
			break
		}
		at += int64(len(buf)) - groupSize + 1 // a header may lie across the chunks
	}
	return nil
}

// source reads a file at any place.
type source struct {
	r    io.ReaderAt
	size int64
	path string
}

// header reads the file's header; bad is why there is none. A format that is not known is an error: what looks like nothing, or like a
// torn tail, may be acknowledged data.
func (s *source) header() (h fileHeader, bad, err error) {
	head, err := s.read(0, int(min(fileHeaderSize, s.size)), nil)
	if err != nil {
		return h, nil, err
	}
	if h, bad = decodeFileHeader(head); errors.Is(bad, errVersion) {
		return h, nil, &CorruptionError{Path: s.path, Err: bad, Advice: adviceVersion}
	}
	return h, bad, nil
}

// read reads n bytes, all within the file, into buf.
func (s *source) read(at int64, n int, buf []byte) ([]byte, error) {
	buf = slices.Grow(buf, n)[:n]
	if m, err := s.r.ReadAt(buf, at); m < n {
		return nil, fmt.Errorf("read %s at byte %d: %w", s.path, at, err)
	}
	return buf, nil
}
