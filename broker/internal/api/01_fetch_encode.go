package api

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/wire"
)

const (
	fetchFlexible = 12
	// copyBelow is the size below which batches are copied between the headers: one more piece costs more.
	copyBelow = 4 << 10
)

// fetchEncoder builds a response frame whose record bytes are the log's own, so that they are not copied.
type fetchEncoder struct {
	pieces   [][]byte
	head     []byte // the piece being written
	total    int    // bytes in pieces
	flexible bool
}

// encode returns the response frame. The layout is Kafka's FetchResponse; a test reads every version back with the
// generated decoder.
func (f *fetch) encode(h wire.Header, refused *kerr.Error) [][]byte {
	e := &fetchEncoder{head: make([]byte, 0, f.headSize()), flexible: f.version >= fetchFlexible}
	e.head = wire.AppendResponseHeader(e.head, h, e.flexible, 0)
	e.int32(0) // throttle
	if f.version >= 7 {
		e.int16(code(refused))
		e.int32(f.sessionID)
	}
	topics := f.topics
	if refused != nil && f.version >= 7 {
		topics = nil
	}
	e.count(len(topics))
	for i := range topics {
		t := &topics[i]
		if f.version >= 13 {
			e.head = append(e.head, t.id[:]...)
		} else {
			e.string(t.name)
		}
		e.count(len(t.partitions))
		for j := range t.partitions {
			e.partition(f, &t.partitions[j])
		}
		e.tags()
	}
	e.tags()
	e.cut()
	binary.BigEndian.PutUint32(e.pieces[0], uint32(e.total-4))
	return e.pieces
}

// unread reports whether the partition was never looked at: then Kafka lists no aborted transactions, where it else does not say.
func (p *fetchPartition) unread() bool {
	return p.err == kerr.UnknownTopicOrPartition || p.err == kerr.UnknownTopicID || p.err == kerr.TopicAuthorizationFailed
}

func (e *fetchEncoder) partition(f *fetch, p *fetchPartition) {
	offsets := p.Offsets
	if p.part == nil || p.err == kerr.OffsetOutOfRange { // as Kafka
		offsets = commitlog.Offsets{LogStart: -1, LastStable: -1, HighWatermark: -1}
	}
	e.int32(p.index)
	e.int16(code(p.err))
	e.int64(offsets.HighWatermark)
	e.int64(offsets.LastStable)
	if f.version >= 5 {
		e.int64(offsets.LogStart)
	}
	if f.isolation == commitlog.ReadCommitted || p.unread() {
		e.count(len(p.Aborted))
		for _, t := range p.Aborted {
			e.int64(t.ProducerID)
			e.int64(t.FirstOffset)
			e.tags()
		}
	} else {
		e.null()
	}
	if f.version >= 11 {
		e.int32(-1) // preferred read replica
	}
	e.count(p.Bytes) // never null: librdkafka refuses that
	for _, b := range p.Batches {
		e.bytes(b)
	}
	e.tags()
}

// headSize is about what everything but the records takes.
func (f *fetch) headSize() int {
	n := 32
	for i := range f.topics {
		t := &f.topics[i]
		n += 32 + len(t.name)
		for j := range t.partitions {
			n += 56 + 17*len(t.partitions[j].Aborted)
		}
	}
	return n
}

// bytes adds record bytes, by reference unless they are few.
func (e *fetchEncoder) bytes(b []byte) {
	if len(b) < copyBelow {
		e.head = append(e.head, b...)
		return
	}
	e.cut()
	e.pieces = append(e.pieces, b)
	e.total += len(b)
}

// cut ends the piece being written.
func (e *fetchEncoder) cut() {
	if len(e.head) == 0 {
		return
	}
	e.pieces = append(e.pieces, e.head)
	e.total += len(e.head)
	e.head = e.head[len(e.head):]
}

func (e *fetchEncoder) int16(v int16) { e.head = binary.BigEndian.AppendUint16(e.head, uint16(v)) }
func (e *fetchEncoder) int32(v int32) { e.head = binary.BigEndian.AppendUint32(e.head, uint32(v)) }
func (e *fetchEncoder) int64(v int64) { e.head = binary.BigEndian.AppendUint64(e.head, uint64(v)) }

// count writes the length of an array or of bytes.
func (e *fetchEncoder) count(n int) {
	if e.flexible {
		e.head = binary.AppendUvarint(e.head, uint64(n)+1)
		return
	}
	e.int32(int32(n))
}

// null writes a null array.
func (e *fetchEncoder) null() {
	if e.flexible {
		e.head = append(e.head, 0)
		return
	}
	e.int32(-1)
}

func (e *fetchEncoder) string(s string) {
	if e.flexible {
		e.head = binary.AppendUvarint(e.head, uint64(len(s))+1)
	} else {
		e.int16(int16(len(s)))
	}
	e.head = append(e.head, s...)
}

// tags writes an empty tag section.
func (e *fetchEncoder) tags() {
	if e.flexible {
		e.head = append(e.head, 0)
	}
}
