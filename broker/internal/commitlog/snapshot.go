package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
)

const (
	snapshotName       = "snapshot"
	snapshotMagic      = "MRSNAPS2"
	snapshotHeaderSize = 8 + 8 + 4
)

// Versions of the snapshot. All are read, the last is written.
const (
	snapshotV1 = '1'
	snapshotV2 = '2' // segments: the first batch's time, and how often they were compacted; partitions: how far they are
)

// encodeSnapshot puts the body into the file's form.
func encodeSnapshot(body []byte) []byte {
	b := make([]byte, snapshotHeaderSize, snapshotHeaderSize+len(body))
	copy(b, snapshotMagic)
	binary.LittleEndian.PutUint64(b[8:], uint64(len(body)))
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(body, castagnoli))
	return append(b, body...)
}

// snapshotBody checks the file and returns its version and its body.
func snapshotBody(b []byte) (version byte, body []byte, err error) {
	if len(b) < snapshotHeaderSize || string(b[:7]) != snapshotMagic[:7] {
		return 0, nil, errors.New("not a snapshot file")
	}
	if version = b[7]; version < snapshotV1 || version > snapshotV2 {
		return 0, nil, fmt.Errorf("snapshot format version %q is not known", version)
	}
	body = b[snapshotHeaderSize:]
	if n := binary.LittleEndian.Uint64(b[8:]); n != uint64(len(body)) {
		return 0, nil, fmt.Errorf("snapshot of %d bytes, stored %d", n, len(body))
	}
	if got, want := crc32.Checksum(body, castagnoli), binary.LittleEndian.Uint32(b[16:]); got != want {
		return 0, nil, fmt.Errorf("snapshot checksum %08x, stored %08x", got, want)
	}
	return version, body, nil
}

// appendHeader begins a snapshot's body.
func (c *capture) appendHeader(b []byte, owner [16]byte) []byte {
	b = append(b, owner[:]...)
	b = append(b, boolByte(c.clean))
	b = binary.AppendUvarint(b, c.epoch)
	b = binary.AppendUvarint(b, uint64(c.lsn))
	return binary.AppendUvarint(b, uint64(len(c.topics)))
}

// snapshotHeader is a snapshot's beginning: where the journal goes on.
type snapshotHeader struct {
	owner [16]byte
	clean bool
	epoch uint64
	lsn   LSN
}

// loadSnapshot puts a snapshot's body into the log, which is empty.
func (l *Log) loadSnapshot(version byte, body []byte) (h snapshotHeader, err error) {
	r := reader{b: body, version: version}
	h.owner = r.topicID()
	h.clean = r.byte() == 1
	h.epoch = r.uvarint()
	h.lsn = LSN(r.uvarint())
	for range r.count(20) {
		spec := decodeTopic(&r)
		if r.err != nil {
			break
		}
		if err := l.applyCreateLocked(spec); err != nil {
			return h, err
		}
		for _, p := range l.catalog.byID[spec.ID].now().partitions {
			p.readState(&r)
			p.readSegments(&r)
			if r.err == nil && p.mu.written != p.mu.end {
				return h, fmt.Errorf("partition %s-%d ends at %d, its segments at %d", spec.Name, p.index, p.mu.end, p.mu.written)
			}
		}
	}
	for range r.count(2) {
		id := MachineID(r.byte())
		m := l.machines[id]
		if m == nil && r.err == nil {
			return h, fmt.Errorf("no machine %d", id)
		}
		for range r.count(1) {
			record := r.bytes()
			if r.err != nil {
				break
			}
			if err := m.Replay(record); err != nil {
				return h, fmt.Errorf("machine %d: %w", id, err)
			}
		}
	}
	if r.err == nil && len(r.b) > 0 {
		return h, fmt.Errorf("%d bytes after the snapshot's end", len(r.b))
	}
	return h, r.err
}

// appendStateLocked encodes the partition without its segments.
func (p *Partition) appendStateLocked(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(p.mu.logStart))
	b = binary.AppendUvarint(b, uint64(p.mu.end))
	b = binary.AppendUvarint(b, uint64(len(p.mu.epochs)))
	for _, e := range p.mu.epochs {
		b = binary.AppendVarint(b, int64(e.epoch))
		b = binary.AppendUvarint(b, uint64(e.offset))
	}
	b = binary.AppendUvarint(b, uint64(p.mu.cleaned))
	b = binary.AppendUvarint(b, uint64(len(p.mu.producers)))
	for _, id := range slices.Sorted(maps.Keys(p.mu.producers)) {
		b = binary.AppendVarint(b, id)
		b = p.mu.producers[id].append(b)
	}
	open := p.mu.unstable.open() // those that have ended will have done so durably when the snapshot counts
	b = binary.AppendUvarint(b, uint64(len(open)))
	for _, t := range open {
		b = binary.AppendVarint(b, t.producer)
		b = binary.AppendUvarint(b, uint64(t.first))
	}
	return b
}

func (p *Partition) readState(r *reader) {
	p.mu.logStart = int64(r.uvarint())
	p.mu.end = int64(r.uvarint())
	p.mu.highWatermark, p.mu.durableStart = p.mu.end, p.mu.logStart // a snapshot holds durable entries only
	if p.mu.logStart > p.mu.end {
		r.fail()
	}
	if n := r.count(2); n > 0 {
		p.mu.epochs = make([]epochStart, 0, n)
		for range n {
			p.mu.epochs = append(p.mu.epochs, epochStart{epoch: r.int32(), offset: int64(r.uvarint())})
		}
	} else {
		r.fail()
	}
	if r.version >= snapshotV2 {
		if p.mu.cleaned = int64(r.uvarint()); p.mu.cleaned < 0 || p.mu.cleaned > p.mu.end {
			r.fail()
		}
	}
	for range r.count(8) {
		s := p.mu.producers.get(r.varint())
		s.read(r)
	}
	for range r.count(2) {
		p.mu.unstable = append(p.mu.unstable, txn{producer: r.varint(), first: int64(r.uvarint())})
	}
}

func (s *producer) append(b []byte) []byte {
	b = binary.AppendVarint(b, int64(s.epoch))
	b = binary.AppendVarint(b, s.lastUse)
	b = append(b, boolByte(s.open))
	if s.open {
		b = binary.AppendVarint(b, int64(s.txnEpoch))
		b = binary.AppendVarint(b, s.txnFirst)
	}
	b = append(b, byte(s.n))
	for _, c := range s.batches[:s.n] {
		b = binary.AppendVarint(b, int64(c.firstSequence))
		b = binary.AppendVarint(b, int64(c.lastSequence))
		b = binary.AppendVarint(b, c.baseOffset)
		b = binary.AppendVarint(b, c.appendTime)
	}
	return b
}

func (s *producer) read(r *reader) {
	s.epoch = r.int16()
	s.lastUse = r.varint()
	if s.open = r.byte() == 1; s.open {
		s.txnEpoch = r.int16()
		s.txnFirst = r.varint()
	}
	s.n = int(r.byte())
	if s.n > cachedBatches {
		s.n = 0
		r.fail()
		return
	}
	for i := range s.n {
		s.batches[i] = cachedBatch{firstSequence: r.int32(), lastSequence: r.int32(), baseOffset: r.varint(), appendTime: r.varint()}
	}
}

func (p *Partition) appendSegmentsLocked(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(p.mu.segments)))
	for _, s := range p.mu.segments {
		b = s.append(b)
	}
	return b
}

// readSegments reads the segments. They are in order and without a gap.
func (p *Partition) readSegments(r *reader) {
	p.mu.written = p.mu.logStart
	for i := range r.count(6) {
		s := readSegment(r, p.dir, p.log.cfg.FS.PathJoin)
		if i > 0 && (s.base != p.mu.written || !p.mu.segments[i-1].sealed) {
			r.fail()
		}
		if r.err != nil {
			return
		}
		p.mu.segments = append(p.mu.segments, s)
		p.mu.written = s.next
		p.hasDir = true
	}
}
