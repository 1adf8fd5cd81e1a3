package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// pending is a queue of entries that are not yet written. Heads are copied into one arena, bodies are kept by reference.
type pending struct {
	first   LSN // of entries[0]
	entries []pendingEntry
	arena   []byte
}

type pendingEntry struct {
	headEnd int // in the arena; it begins where the one before ends
	body    []byte
	crc     uint32 // of head and body
}

// Entry is an entry that is ready to be enqueued: its payload is a head followed by a body.
type Entry struct {
	head, body []byte
	crc        uint32
}

// NewEntry computes an entry's checksum, so that no lock needs to be held meanwhile.
func NewEntry(head, body []byte) Entry {
	return Entry{head: head, body: body, crc: crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, body)}
}

func (e *Entry) size() int { return len(e.head) + len(e.body) }

func (p *pending) add(lsn LSN, e *Entry) {
	if len(p.entries) == 0 {
		p.first = lsn
	}
	p.arena = append(p.arena, e.head...)
	p.entries = append(p.entries, pendingEntry{headEnd: len(p.arena), body: e.body, crc: e.crc})
}

// reset makes p empty and lets go of what it held, keeping modest memory for the next round.
func (p *pending) reset() {
	clear(p.entries)
	p.entries, p.arena = p.entries[:0], p.arena[:0]
	if cap(p.arena) > 1<<20 {
		p.arena = nil
	}
}

func (p *pending) head(i int) []byte {
	start := 0
	if i > 0 {
		start = p.entries[i-1].headEnd
	}
	return p.arena[start:p.entries[i].headEnd]
}

// appendGroup appends a group to buf that begins with entry i, as many entries as fit, and returns the index after its last.
func (p *pending) appendGroup(buf []byte, i int, epoch uint64, durable LSN) ([]byte, int) {
	start := len(buf)
	h := groupHeader{epoch: epoch, first: p.first + LSN(i), durable: durable}
	buf = append(buf, make([]byte, groupSize)...)
	for ; i < len(p.entries); i++ {
		head, body := p.head(i), p.entries[i].body
		size := len(head) + len(body)
		if h.count > 0 && len(buf)-start+entryHeader+size > maxGroupBytes {
			break
		}
		buf = binary.LittleEndian.AppendUint32(buf, uint32(size))
		buf = binary.LittleEndian.AppendUint32(buf, sealEntry(p.entries[i].crc, size, p.first+LSN(i), epoch))
		buf = append(append(buf, head...), body...)
		h.count++
	}
	h.bytes = uint32(len(buf) - start - groupSize)
	h.put(buf[start:])
	return buf, i
}
