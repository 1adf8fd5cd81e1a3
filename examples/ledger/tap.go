package main

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// tap is a connection of an instance to a broker on which the requests and answers that pass are told to a watch, once they
// have been written whole, and before they are handed over. It reads the few bytes of each that say what it is.
type tap struct {
	net.Conn
	watch    *watch
	out, in  frames
	sync     sync.Mutex
	inFlight map[int32]request // by correlation id, guarded by sync
	gone     atomic.Bool       // it was cut
}

func newTap(c net.Conn, w *watch) *tap {
	t := &tap{Conn: c, watch: w, inFlight: make(map[int32]request)}
	t.out = frames{keep: 600, at: atEnd, take: t.sent}
	t.in = frames{keep: 4, at: atHead, take: t.answered}
	return t
}

// Write implements net.Conn.
func (t *tap) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	t.out.feed(b[:n])
	return n, err
}

// Read implements net.Conn.
func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.in.feed(b[:n])
	if t.gone.Load() {
		return 0, net.ErrClosed // an answer that has just come in is lost as well
	}
	return n, err
}

func (t *tap) sent(head []byte) {
	r, correlation, ok := parseRequest(head)
	if !ok {
		return
	}
	t.sync.Lock()
	t.inFlight[correlation] = r
	t.sync.Unlock()
	if t.watch.sent(r) {
		t.cut()
	}
}

func (t *tap) answered(head []byte) {
	correlation := int32(binary.BigEndian.Uint32(head))
	t.sync.Lock()
	r, ok := t.inFlight[correlation]
	delete(t.inFlight, correlation)
	t.sync.Unlock()
	if ok && t.watch.answered(r) {
		t.cut()
	}
}

// cut breaks the connection: neither side learns what the other has taken.
func (t *tap) cut() {
	t.gone.Store(true)
	_ = t.Conn.Close() // what is broken on purpose may not close well
}

// request is what the watch wants to know of one.
type request struct {
	key kmsg.Key
	txn string // transactional id, "" if none
}

// parseRequest reads the header of a request and, of those that begin with a transactional id, that.
func parseRequest(b []byte) (r request, correlation int32, ok bool) {
	if len(b) < 10 {
		return r, 0, false
	}
	r.key = kmsg.Key(binary.BigEndian.Uint16(b))
	version := int16(binary.BigEndian.Uint16(b[2:]))
	correlation = int32(binary.BigEndian.Uint32(b[4:]))
	switch r.key {
	case kmsg.Produce, kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn:
	default:
		return r, correlation, true
	}
	body := b[8:]
	if n := int16(binary.BigEndian.Uint16(body)); n >= 0 { // client id
		if len(body) < 2+int(n) {
			return r, correlation, false
		}
		body = body[n:]
	}
	body = body[2:]
	asked := r.key.Request()
	asked.SetVersion(version)
	if asked.IsFlexible() {
		if len(body) < 2 || body[0] != 0 { // tags, of which clients send none
			return r, correlation, true
		}
		n, used := binary.Uvarint(body[1:])
		if used <= 0 || n == 0 || uint64(len(body)-1-used) < n-1 {
			return r, correlation, true
		}
		r.txn = string(body[1+used:][:n-1])
		return r, correlation, true
	}
	if len(body) < 2 {
		return r, correlation, true
	}
	if n := int(int16(binary.BigEndian.Uint16(body))); n > 0 && len(body) >= 2+n {
		r.txn = string(body[2 : 2+n])
	}
	return r, correlation, true
}

// moment is when frames tells of a frame.
type moment bool

const (
	atHead moment = false // as soon as the bytes to keep are there
	atEnd  moment = true  // when the whole frame has passed
)

// frames cuts a stream of bytes into frames of the protocol, a length and a body, and keeps the first bytes of each body.
type frames struct {
	keep int
	at   moment
	take func(head []byte)

	length [4]byte
	have   int    // bytes of length
	left   int    // bytes of the body to come
	head   []byte // first bytes of the body
	told   bool
}

func (f *frames) feed(b []byte) {
	for len(b) > 0 {
		if f.have < len(f.length) {
			n := copy(f.length[f.have:], b)
			f.have, b = f.have+n, b[n:]
			if f.have < len(f.length) {
				return
			}
			f.left, f.head, f.told = int(binary.BigEndian.Uint32(f.length[:])), f.head[:0], false
		}
		n := min(len(b), f.left)
		f.head = append(f.head, b[:min(n, f.keep-len(f.head))]...)
		f.left, b = f.left-n, b[n:]
		if !f.told && (f.left == 0 || f.at == atHead) && (len(f.head) == f.keep || f.at == atEnd) {
			f.told = true
			f.take(f.head)
		}
		if f.left == 0 {
			f.have = 0
		}
	}
}
