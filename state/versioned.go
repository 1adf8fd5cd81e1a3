package state

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/serde"
)

// VersionedSpec declares a versioned key-value store (S-08): its layer is a *Versioned[K, V]. history says how far behind the newest
// version, over all keys, writes are taken and reads reach back, in event time. All versions of a key within it are kept
// together, and read and written as a whole: it is for keys with few versions at a time.
func VersionedSpec[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], history time.Duration, opts ...SpecOption) *Spec {
	s := &Spec{Name: name, Kind: KindVersioned, Logging: true, Retention: history}
	s.Open = func(e Env) (Layer, error) { return newVersioned(e, ks, vs) }
	return s.typed(ks, vs, opts)
}

// Versioned is the versioned key-value store of one task: each key has one value for any moment of event time within the
// store's history. It belongs to the task's goroutine.
//
// A delete is a version too (S-10). The newest version of a key does not expire, but a key whose newest one is a delete leaves some time after
// the history has passed that. Changelog records are in Kafka's form: each write is one, with
// the version's time as its timestamp.
type Versioned[K, V any] struct {
	t       transaction[string] // an encoded chain of versions for each key, see chain
	ks      keyCodec[K]
	vs      serde.Serde[V]
	copied  bool // vs may alias what it decodes
	history int64
	log     Changelog
	buf     []byte
	value   []byte
	swept   []byte // where sweep goes on; nil: at the first key
}

// Validity says what became of a write.
type Validity struct {
	Stored bool  // false: the version is older than the history
	Latest bool  // it is the newest of its key
	To     int64 // else: when the next one begins
}

func newVersioned[K, V any](e Env, ks serde.Serde[K], vs serde.Serde[V]) (*Versioned[K, V], error) {
	if e.Committed == nil {
		return nil, errNoPartition
	}
	s := &Versioned[K, V]{
		t: newTransaction(e, serde.String), ks: newKeyCodec(ks), vs: vs, history: e.Committed.retention, log: e.Changelog,
	}
	if a, ok := vs.(serde.Aliaser); ok {
		s.copied = a.DecodeAliases()
	}
	s.t.omitOld, s.t.unlogged = true, true
	return s, nil
}

// Put stores a version of key that begins at from. One that begins at the same time is replaced.
func (s *Versioned[K, V]) Put(key K, v V, from int64) (Validity, error) {
	b, err := s.vs.Append(s.value[:0], v)
	if err != nil {
		return Validity{}, fmt.Errorf("store %s: encode value: %w", s.t.below.id, err)
	}
	s.value = b
	return s.write(key, version{from: from, value: b})
}

// Delete stores that key has no value from a time on.
func (s *Versioned[K, V]) Delete(key K, from int64) (Validity, error) {
	return s.write(key, version{from: from, deleted: true})
}

func (s *Versioned[K, V]) write(key K, v version) (Validity, error) {
	if len(v.value) > MaxValue {
		return Validity{}, fmt.Errorf("store %s: value of %d bytes: %w", s.t.below.id, len(v.value), ErrTooLarge)
	}
	slot, err := s.find(key)
	if err != nil {
		return Validity{}, err
	}
	if err := s.note(s.t.table.Key(slot), v); err != nil {
		return Validity{}, err
	}
	if low, ok := s.low(); ok && v.from < low {
		return Validity{}, nil
	}
	s.t.newest.see(v.from)
	low, _ := s.low()
	chain, to := insert(s.t.table.At(slot).v, v, low)
	// Also where nothing is left, so that the write is seen to have been one.
	s.t.set(slot, chain, v.from, serde.Headers{})
	return Validity{Stored: true, Latest: to == math.MaxInt64, To: to}, nil
}

// note writes v to the changelog: at once, since each version is a record of its own.
func (s *Versioned[K, V]) note(key []byte, v version) error {
	if s.log == nil {
		return nil
	}
	value := v.value
	if value == nil && !v.deleted {
		value = []byte{} // empty, not null
	}
	if err := s.log.Append(key, value, v.from); err != nil {
		return fmt.Errorf("store %s: append to changelog: %w", s.t.below.id, err)
	}
	return nil
}

func (s *Versioned[K, V]) find(key K) (slot, error) {
	b, err := s.ks.Append(s.buf[:0], key)
	if err != nil {
		return 0, fmt.Errorf("store %s: encode key: %w", s.t.below.id, err)
	}
	s.buf = b
	return s.t.find(b)
}

// low returns the first moment of the history, if it does not reach back for ever.
func (s *Versioned[K, V]) low() (int64, bool) {
	if !s.t.newest.ok {
		return math.MinInt64, false
	}
	low := s.t.newest.start - s.history
	if low > s.t.newest.start { // overflow
		return math.MinInt64, false
	}
	return low, true
}

// Get returns the newest version of key and when it began; it is false if there is none, or if it is a delete. The value is the
// caller's.
func (s *Versioned[K, V]) Get(key K) (v V, from int64, ok bool, err error) {
	return s.GetAsOf(key, math.MaxInt64)
}

// GetAsOf returns the version of key that held at a time, and when it began. A time before the history has only versions that still hold.
func (s *Versioned[K, V]) GetAsOf(key K, at int64) (v V, from int64, ok bool, err error) {
	slot, err := s.find(key)
	if err != nil {
		return v, -1, false, err
	}
	low, limited := s.low()
	next := int64(math.MaxInt64)
	for chain := s.t.table.At(slot).v; chain != ""; {
		var found version
		if found, chain, err = cut(chain); err != nil {
			return v, -1, false, fmt.Errorf("store %s: versions of key %x: %w", s.t.below.id, s.t.table.Key(slot), err)
		}
		if found.from <= at {
			if found.deleted || limited && at < low && next != math.MaxInt64 {
				return v, -1, false, nil
			}
			v, err = s.decode(found.value)
			return v, found.from, err == nil, err
		}
		next = found.from
	}
	return v, -1, false, nil
}

func (s *Versioned[K, V]) decode(b []byte) (V, error) {
	v, err := s.vs.Decode(b)
	if err != nil {
		return v, fmt.Errorf("store %s: decode value: %w", s.t.below.id, err)
	}
	return v, nil
}

// Each calls f for every version that the store holds, in the order of the encoded keys, oldest first: it held from from on, up to to,
// which is math.MaxInt64 for the newest. An error of f is returned.
func (s *Versioned[K, V]) Each(f func(key K, v V, from, to int64) error) error {
	var bad error
	_, err := s.t.walk(span{}, false, func(e found[string]) bool {
		bad = s.eachVersion(e.local, e.v, f)
		return bad == nil
	})
	if bad != nil {
		return bad
	}
	return err
}

func (s *Versioned[K, V]) eachVersion(local []byte, chain string, f func(key K, v V, from, to int64) error) error {
	list, err := versions(chain)
	if err != nil {
		return fmt.Errorf("store %s: versions of key %x: %w", s.t.below.id, local, err)
	}
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].deleted {
			continue
		}
		key, err := s.ks.decode(local)
		if err != nil {
			return fmt.Errorf("store %s: key %x: %w", s.t.below.id, local, err)
		}
		v, err := s.decode(list[i].value)
		if err != nil {
			return err
		}
		to := int64(math.MaxInt64)
		if i > 0 {
			to = list[i-1].from
		}
		if err := f(key, v, list[i].from, to); err != nil {
			return err
		}
	}
	return nil
}

// Newest returns the highest time of all versions that the store has taken, and whether there is one.
func (s *Versioned[K, V]) Newest() (from int64, ok bool) { return s.t.newest.start, s.t.newest.ok }

// sweptPerWrite is how many keys sweep looks at for each write: more than one, so that keys do not go faster than they come.
const sweptPerWrite = 2

// sweep takes out keys that nobody can find any more, since their last version is a delete from before the history: one that nobody writes
// again would else stay for ever. It looks at a few of the committed ones at a time, going around.
func (s *Versioned[K, V]) sweep() error {
	low, limited := s.low()
	n := sweptPerWrite * (len(s.t.writes) - s.t.flushed)
	if !limited || n == 0 {
		return nil
	}
	gone, err := s.goneBefore(low, n)
	if err != nil {
		return fmt.Errorf("store %s: %w", s.t.below.id, err)
	}
	for _, key := range gone {
		slot, err := s.t.find(key)
		if err != nil {
			return err
		}
		if it := s.t.table.At(slot); it.last == 0 { // else it has come back in this transaction
			s.t.delete(slot, it.ts, serde.Headers{}) // which the changelog has no record of: it has the delete
		}
	}
	return nil
}

// goneBefore looks at the next n keys.
func (s *Versioned[K, V]) goneBefore(low int64, n int) (gone [][]byte, err error) {
	c, err := s.t.below.scan(span{lo: s.swept}, false)
	if err != nil {
		return nil, err
	}
	s.swept = nil
	for ; n > 0 && c.next(); n-- {
		if _, chain, err := splitStored(c.val); err == nil && endedBefore(chain, low) {
			gone = append(gone, bytes.Clone(c.key))
		}
		if n == 1 {
			s.swept = append(bytes.Clone(c.key), 0)
		}
	}
	return gone, c.close()
}

// Flush implements Layer.
func (s *Versioned[K, V]) Flush() error {
	if err := s.sweep(); err != nil {
		return err
	}
	s.t.logged = s.t.newest
	return s.t.flush(func([]byte) ([]byte, error) { return nil, nil }) // what is logged are writes, not chains
}

// Commit implements Layer.
func (s *Versioned[K, V]) Commit(next int64) error { return s.t.commit(next) }

// Drop implements Layer.
func (s *Versioned[K, V]) Drop() { s.t.drop() }

// Dirty implements Layer.
func (s *Versioned[K, V]) Dirty() bool { return s.t.flushed < len(s.t.writes) }

// Bytes implements Layer.
func (s *Versioned[K, V]) Bytes() (dirty, cached int64) { return s.t.usage() }
