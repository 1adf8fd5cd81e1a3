package journal

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/inspect"
)

// Inspect tells of one journal file: its header, its groups, and, through entry, the payloads of its entries, up to the first place
// that is no group of the file's epoch, which is told of last. It decides nothing about what counts: Replay does.
func Inspect(fs vfs.FS, path string, emit func(inspect.Item) error, entry func(LSN, []byte) error) error {
	in, err := fs.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	src := &source{r: in, size: info.Size(), path: path}
	head, err := src.read(0, int(min(fileHeaderSize, src.size)), nil)
	if err != nil {
		return err
	}
	h, err := decodeFileHeader(head)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := emit(inspect.New("journal", "epoch", h.epoch, "owner", fmt.Sprintf("%x", h.owner), "async", h.async)); err != nil {
		return err
	}
	at := int64(fileHeaderSize)
	for at < src.size {
		n, reason, err := inspectGroup(src, h.epoch, at, emit, entry)
		if err != nil {
			return err
		}
		if reason != "" {
			return emit(inspect.New("end", "position", at, "reason", reason))
		}
		at += n
	}
	return emit(inspect.New("end", "position", at, "reason", "end of the file"))
}

// inspectGroup tells of the group at a position, and returns its size, or why it is none.
func inspectGroup(src *source, epoch uint64, at int64, emit func(inspect.Item) error, entry func(LSN, []byte) error) (size int64, reason string, err error) {
	head, err := src.read(at, int(min(groupSize, src.size-at)), nil)
	if err != nil {
		return 0, "", err
	}
	h, ok := decodeGroupHeader(head)
	switch {
	case !ok:
		return 0, "no group: unused, or cut off", nil
	case h.epoch != epoch:
		return 0, fmt.Sprintf("a group of epoch %d: left from an earlier use of the file", h.epoch), nil
	case int64(h.bytes) > src.size-at-groupSize:
		return 0, "a group that goes beyond the end of the file", nil
	}
	if err := emit(inspect.New("group", "position", at, "first", uint64(h.first), "entries", h.count, "bytes", h.bytes, "durable", uint64(h.durable))); err != nil {
		return 0, "", err
	}
	rest, err := src.read(at+groupSize, int(h.bytes), nil)
	if err != nil {
		return 0, "", err
	}
	for i := range h.count {
		lsn := h.first + LSN(i)
		var payload []byte
		var bad error
		if payload, rest, bad = decodeEntry(rest, lsn, epoch); bad != nil {
			return 0, bad.Error(), nil
		}
		if err := entry(lsn, payload); err != nil {
			return 0, "", err
		}
	}
	return groupSize + int64(h.bytes), "", nil
}
