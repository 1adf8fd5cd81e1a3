package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	fileMagic      = "MRJOURN1" // the last byte is the format's version
	fileHeaderSize = 64
	groupMagic     = 0x4d524752 // "MRGR"
	groupSize      = 40
	entryHeader    = 8
	suffix         = ".journal"

	// maxGroupBytes is where a group ends, unless its first entry is larger. It bounds the buffers, here and in recovery.
	maxGroupBytes = 4 << 20
	// MaxEntryBytes bounds one entry.
	MaxEntryBytes = 1 << 30
)

// errVersion is the error of a sound header of a format that is not known: nothing can be said of what the file holds.
var errVersion = errors.New("journal format version is not known")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fileHeader begins a file.
type fileHeader struct {
	epoch uint64
	owner [16]byte // whose journal it is
	async bool     // groups are not synced as they are written
}

func (h *fileHeader) encode() []byte {
	b := make([]byte, fileHeaderSize)
	copy(b, fileMagic)
	binary.LittleEndian.PutUint64(b[8:], h.epoch)
	copy(b[16:], h.owner[:])
	if h.async {
		b[32] = 1
	}
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

func decodeFileHeader(b []byte) (h fileHeader, err error) {
	if len(b) < fileHeaderSize {
		return h, fmt.Errorf("file of %d bytes has no header", len(b))
	}
	if string(b[:7]) != fileMagic[:7] {
		return h, fmt.Errorf("not a journal file")
	}
	if got, want := crc32.Checksum(b[:60], castagnoli), binary.LittleEndian.Uint32(b[60:]); got != want {
		return h, fmt.Errorf("file header checksum %08x, stored %08x", got, want)
	}
	if b[7] != fileMagic[7] {
		return h, fmt.Errorf("%w: %q", errVersion, b[7])
	}
	h.epoch = binary.LittleEndian.Uint64(b[8:])
	copy(h.owner[:], b[16:])
	h.async = b[32] == 1
	return h, nil
}

// groupHeader begins a group. A group without entries only vouches for what is before it.
type groupHeader struct {
	epoch   uint64
	first   LSN    // of the group's first entry
	durable LSN    // synced before this group was written
	count   uint32 // entries
	bytes   uint32 // of the entries with their headers
}

func (h *groupHeader) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b, groupMagic)
	le.PutUint64(b[8:], h.epoch)
	le.PutUint64(b[16:], uint64(h.first))
	le.PutUint64(b[24:], uint64(h.durable))
	le.PutUint32(b[32:], h.count)
	le.PutUint32(b[36:], h.bytes)
	le.PutUint32(b[4:], crc32.Checksum(b[8:groupSize], castagnoli))
}

func decodeGroupHeader(b []byte) (h groupHeader, ok bool) {
	le := binary.LittleEndian
	if len(b) < groupSize || le.Uint32(b) != groupMagic || le.Uint32(b[4:]) != crc32.Checksum(b[8:groupSize], castagnoli) {
		return h, false
	}
	h = groupHeader{
		epoch: le.Uint64(b[8:]), first: LSN(le.Uint64(b[16:])), durable: LSN(le.Uint64(b[24:])),
		count: le.Uint32(b[32:]), bytes: le.Uint32(b[36:]),
	}
	return h, h.durable < h.first && uint64(h.bytes) >= entryHeader*uint64(h.count)
}

// sealEntry returns an entry's checksum: of its payload, whose own checksum is given, and of where it belongs, so that an
// intact entry in a wrong place is not taken for the right one.
func sealEntry(payload uint32, size int, lsn LSN, epoch uint64) uint32 {
	var b [20]byte
	binary.LittleEndian.PutUint32(b[:], uint32(size))
	binary.LittleEndian.PutUint64(b[4:], uint64(lsn))
	binary.LittleEndian.PutUint64(b[12:], epoch)
	return crc32.Update(payload, castagnoli, b[:])
}

// decodeEntry returns the payload of the entry that b begins with, and what follows.
func decodeEntry(b []byte, lsn LSN, epoch uint64) (payload, rest []byte, err error) {
	if len(b) < entryHeader {
		return nil, nil, fmt.Errorf("entry %d is cut off", lsn)
	}
	size := binary.LittleEndian.Uint32(b)
	if uint64(size) > uint64(len(b)-entryHeader) {
		return nil, nil, fmt.Errorf("entry %d of %d bytes goes beyond its group", lsn, size)
	}
	payload, rest = b[entryHeader:entryHeader+size:entryHeader+size], b[entryHeader+size:]
	want := binary.LittleEndian.Uint32(b[4:])
	if got := sealEntry(crc32.Checksum(payload, castagnoli), int(size), lsn, epoch); got != want {
		return nil, nil, fmt.Errorf("entry %d: checksum %08x, stored %08x", lsn, got, want)
	}
	return payload, rest, nil
}

func fileName(epoch uint64) string { return fmt.Sprintf("%020d%s", epoch, suffix) }

func parseFileName(name string) (epoch uint64, ok bool) {
	digits, found := strings.CutSuffix(name, suffix)
	if !found || len(digits) != 20 {
		return 0, false
	}
	epoch, err := strconv.ParseUint(digits, 10, 64)
	return epoch, err == nil
}
