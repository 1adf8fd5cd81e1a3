package state

import (
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// bufferVersion is the version of Kafka Streams' form of a buffer's changelog, which a header of each record says.
const bufferVersion = 3

// BufferSpec declares the buffer of a table's changes: its layer is a *Buffer[K, V].
func BufferSpec[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], opts ...SpecOption) *Spec {
	s := &Spec{Name: name, Kind: KindBuffer, Logging: true, Headers: []serde.Header{{Key: versionHeader, Value: []byte{bufferVersion}}}}
	s.Open = func(e Env) (Layer, error) { return newBuffer(e, ks, vs) }
	return s.typed(ks, vs, opts)
}

// Buffer holds back the last change of each key, in the order of the times at which the keys entered it (S-24). It belongs to the
// task's goroutine. Its changelog is Kafka Streams' (D-51), with the time of the last change as the record's, where Kafka
// Streams writes the wall clock.
//
// What waits is on disk as any other state; an index of keys and times, 40 bytes and the key for each entry, is in memory.
type Buffer[K, V any] struct {
	t     transaction[string] // the form of bufferedValue
	ks    keyCodec[K]
	vs    bufferCodec[V]
	queue bufferQueue
	size  int64
	buf   []byte
	out   []byte
	keys  serde.Arena // of the queue
	old   []byte
	new   []byte
}

func newBuffer[K, V any](e Env, ks serde.Serde[K], vs serde.Serde[V]) (*Buffer[K, V], error) {
	if e.Committed == nil {
		return nil, errNoPartition
	}
	s := &Buffer[K, V]{t: newTransaction(e, serde.String), ks: newKeyCodec(ks), vs: newBufferCodec(vs)}
	s.t.omitOld = true
	var bad error
	_, err := s.t.walk(span{}, false, func(e found[string]) bool {
		var v bufferedValue
		if v, bad = splitBuffered(bytesOf(e.v), &s.vs.topics); bad == nil && s.t.kept.on {
			var h serde.Headers
			h, bad = decodeHeaders(e.headers)
			v.readParts(h)
		}
		if bad != nil {
			return false
		}
		s.queue.push(bufferKey{v.at, string(e.local)})
		s.size += v.size(len(e.local))
		return true
	})
	if bad != nil {
		err = fmt.Errorf("store %s: %w", s.t.below.id, bad)
	}
	return s, err
}

// Put makes r the change that waits for its key. One that waits already keeps its place; else it enters at the time at.
func (s *Buffer[K, V]) Put(at int64, r Buffered[K, V]) error {
	slot, err := s.find(r.Key)
	if err != nil {
		return err
	}
	v := bufferedValue{at: at}
	waiting, waits, err := s.waiting(slot)
	if err != nil {
		return err
	}
	v.context(r.Timestamp, r.Headers, r.Source)
	if v.old, err = s.vs.encode(&s.old, r.Change.Old); err == nil {
		v.value, err = s.vs.encode(&s.new, r.Change.New)
	}
	if err != nil {
		return fmt.Errorf("store %s: encode value: %w", s.t.below.id, err)
	}
	key := s.t.table.Key(slot)
	if waits {
		v.at, v.prior = waiting.at, waiting.prior
		s.size -= waiting.size(len(key))
	} else {
		v.prior = v.old
		s.queue.push(bufferKey{at, stringOf(s.keys.Copy(key))})
	}
	var h serde.Headers
	if s.t.kept.on {
		v.follow(&waiting, waits)
		h = v.changelogHeaders()
	}
	s.size += v.size(len(key))
	s.out = v.append(s.out[:0])
	s.t.set(slot, string(s.out), r.Timestamp, h)
	return nil
}

// find returns the place of a key.
func (s *Buffer[K, V]) find(key K) (layer.Slot, error) {
	b, err := s.ks.Append(s.buf[:0], key)
	if err != nil {
		return 0, fmt.Errorf("store %s: encode key: %w", s.t.below.id, err)
	}
	s.buf = b
	return s.t.find(b)
}

// waiting returns the entry at slot, and whether there is one. It shares memory with the store's value, which nobody writes.
func (s *Buffer[K, V]) waiting(slot layer.Slot) (v bufferedValue, waits bool, err error) {
	it := s.t.table.At(slot)
	if it.flags&flagPresent == 0 {
		return v, false, nil
	}
	if v, err = splitBuffered(bytesOf(it.v), &s.vs.topics); err != nil {
		return v, false, fmt.Errorf("store %s: key %x: %w", s.t.below.id, s.t.table.Key(slot), err)
	}
	if s.t.kept.on {
		h, err := s.t.headersAt(slot)
		if err != nil {
			return v, false, err
		}
		v.readParts(h)
	}
	return v, true, nil
}

// Len returns how many changes wait.
func (s *Buffer[K, V]) Len() int { return len(s.queue) }

// Size returns what they count against a bound of bytes: their serialised parts and a fixed share.
func (s *Buffer[K, V]) Size() int64 { return s.size }

// First returns the time at which the first change that waits entered, and whether there is one.
func (s *Buffer[K, V]) First() (at int64, ok bool) {
	if len(s.queue) == 0 {
		return 0, false
	}
	return s.queue[0].at, true
}

// Peek returns the first change that waits: of the lowest time, and of those the lowest encoded key. There must be one.
func (s *Buffer[K, V]) Peek() (e Buffered[K, V], err error) {
	local := bytesOf(s.queue[0].key)
	slot, err := s.t.find(local)
	if err != nil {
		return e, err
	}
	v, _, err := s.waiting(slot)
	if err != nil {
		return e, err
	}
	key, err := s.ks.decode(local)
	if err == nil {
		e, err = entryOf(&s.vs, key, &v)
	}
	if err != nil {
		return e, fmt.Errorf("store %s: key %x: %w", s.t.below.id, local, err)
	}
	return e, nil
}

// Remove takes the first change out.
func (s *Buffer[K, V]) Remove() error {
	slot, err := s.t.find(bytesOf(s.queue[0].key))
	if err != nil {
		return err
	}
	v, _, err := s.waiting(slot)
	if err != nil {
		return err
	}
	k := s.queue.pop()
	s.size -= v.size(len(k.key))
	s.t.delete(slot, v.timestamp, serde.Headers{})
	return nil
}

// Prior returns the value that key had before all of its changes that wait, and whether any does (D-52).
func (s *Buffer[K, V]) Prior(key K) (row serde.Maybe[V], waits bool, err error) {
	slot, err := s.find(key)
	if err != nil {
		return row, false, err
	}
	v, waits, err := s.waiting(slot)
	if !waits || err != nil {
		return row, false, err
	}
	if row, err = s.vs.decode(v.prior); err != nil {
		err = fmt.Errorf("store %s: value of key %x: %w", s.t.below.id, s.t.table.Key(slot), err)
	}
	return row, true, err
}

// Flush implements Layer.
func (s *Buffer[K, V]) Flush() error {
	return s.t.flush(func(local []byte) ([]byte, error) { return local, nil })
}

// Commit implements Layer.
func (s *Buffer[K, V]) Commit(next int64) error { return s.t.commit(next) }

// Drop implements Layer. The buffer is not to be used afterwards.
func (s *Buffer[K, V]) Drop() {
	s.t.drop()
	s.queue, s.size = nil, 0
}

// Dirty implements Layer.
func (s *Buffer[K, V]) Dirty() bool { return s.t.flushed < len(s.t.writes) }

// Bytes implements Layer.
func (s *Buffer[K, V]) Bytes() (dirty, cached int64) { return s.t.usage() }

// bufferKey is the place of an entry in the order of a buffer.
type bufferKey struct {
	at  int64
	key string // encoded
}

func (k bufferKey) less(other bufferKey) bool {
	return k.at < other.at || k.at == other.at && k.key < other.key
}

// bufferQueue is a binary heap: the first entry is the lowest.
type bufferQueue []bufferKey

func (q *bufferQueue) push(k bufferKey) {
	h := append(*q, k)
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].less(h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
	*q = h
}

func (q *bufferQueue) pop() bufferKey {
	h := *q
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], bufferKey{}
	h = h[:last]
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < last && h[child].less(h[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*q = h
	return first
}
