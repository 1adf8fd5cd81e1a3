package topology

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"unsafe"

	"github.com/millrace-io/millrace/serde"
)

// Partitioner chooses the partition of a record for a topic of n partitions. key is the encoded key, nil for null. A negative
// result drops the record, counted as ReasonPartition. It is Kafka Streams' StreamPartitioner (D-12).
type Partitioner[K, V any] func(topic string, r *Record[K, V], key []byte, n int32) int32

// SinkOption configures a sink that takes Record[K, V].
type SinkOption[K, V any] func(*sink[K, V])

// WithPartitioner makes a sink partition by p.
func WithPartitioner[K, V any](p Partitioner[K, V]) SinkOption[K, V] {
	return func(s *sink[K, V]) { s.partition = p }
}

// ByKey is a partitioner's answer that leaves the choice to the default: the partition of the key's bytes.
const ByKey int32 = math.MinInt32

// Multicast chooses any number of partitions for a record (D-12, KIP-837): it returns dst with them appended. None drops the record,
// counted as ReasonPartition.
type Multicast[K, V any] func(topic string, r *Record[K, V], key []byte, n int32, dst []int32) []int32

// WithMulticast makes a sink write each record to the partitions that m chooses.
func WithMulticast[K, V any](m Multicast[K, V]) SinkOption[K, V] {
	return func(s *sink[K, V]) { s.multicast = m }
}

// Chooser chooses the topic of a record (D-11, P-29); from says where the record that is being processed came from. It is Kafka Streams'
// TopicNameExtractor. The topic must exist, and is not one of the application's internal ones.
type Chooser[K, V any] func(r *Record[K, V], from Coordinates) (topic string)

// NewDynamicSink is NewSink for a sink that writes each record to the topic that choose returns.
func NewDynamicSink[K, V any](name string, choose Chooser[K, V], key serde.Serde[K], value serde.Serde[V], options ...SinkOption[K, V]) *Node {
	n := NewSink(name, "", key, value, append(options, func(s *sink[K, V]) { s.choose = choose })...)
	n.Dynamic = true
	return n
}

// KeyedOnly makes a sink leave out records without a key, counted as ReasonUnkeyed: the sink of a repartition topic, where
// such a record would belong to no partition.
func KeyedOnly[K, V any]() SinkOption[K, V] {
	return func(s *sink[K, V]) { s.keyedOnly = true }
}

// EncodeError is a record that a sink could not encode. The production handler decides about it.
type EncodeError struct {
	Topic string // as the node holds it
	Err   error
}

func (e *EncodeError) Error() string { return fmt.Sprintf("encode for topic %s: %v", e.Topic, e.Err) }

// Unwrap returns the serde's error.
func (e *EncodeError) Unwrap() error { return e.Err }

// DropReason makes it countable apart from processing errors.
func (e *EncodeError) DropReason() Reason { return ReasonSerialization }

// WriteError is a record that the log does not take: it is larger than its topic allows, the broker has refused it, or the log could not
// be brought to answer in time. The production handler decides about it.
type WriteError struct {
	Topic     string // in the log
	Partition int32  // -1: of no partition in particular
	Err       error
	Retriable bool // it may be taken later
}

func (e *WriteError) Error() string {
	if e.Partition < 0 {
		return fmt.Sprintf("write to topic %s: %v", e.Topic, e.Err)
	}
	return fmt.Sprintf("write to topic %s partition %d: %v", e.Topic, e.Partition, e.Err)
}

// Unwrap returns why.
func (e *WriteError) Unwrap() error { return e.Err }

// DropReason makes it countable apart from processing errors.
func (e *WriteError) DropReason() Reason { return ReasonProduction }

// NewSink returns a sink node, not yet part of a topology. A null key or value is written as null, and so is a nil one of a
// type that can hold nil (D3).
func NewSink[K, V any](name, topic string, key serde.Serde[K], value serde.Serde[V], options ...SinkOption[K, V]) *Node {
	cfg := sink[K, V]{topic: topic, key: key, value: value}
	for _, o := range options {
		o(&cfg)
	}
	cfg.nilKey, cfg.nilValue = nilTest[K](), nilTest[V]()
	n := &Node{Name: name, Kind: KindSink, In: []Edge{EdgeOf[K, V]()}, Topic: topic}
	n.Build = func(s Scope, _ any) (Instance, error) {
		task := cfg
		task.scope, task.node = s, n.ID
		if s.Guarded() {
			return Instance{Ports: []any{Emit[K, V](task.guardedWrite)}}, nil
		}
		return Instance{Ports: []any{Emit[K, V](task.write)}}, nil
	}
	return n
}

// sink writes for one task. Its buffers are reused: Scope.Send copies.
type sink[K, V any] struct {
	topic     string
	key       serde.Serde[K]
	value     serde.Serde[V]
	partition Partitioner[K, V]
	multicast Multicast[K, V]
	choose    Chooser[K, V]
	keyedOnly bool
	// Of a type that can hold nil, nil is null, whether the record is flagged or not. Else nil.
	nilKey   func(K) bool
	nilValue func(V) bool

	scope    Scope
	node     NodeID
	bytes    []byte
	raw      Raw
	record   Record[K, V] // for the functions of the user
	chosen   []int32
	to       string // the topic of the record at hand
	encoding bool   // a serde is at work
	spread
}

// empty stands for a present key or value of no bytes, since nil means null.
var empty = []byte{}

func (s *sink[K, V]) write(r Record[K, V]) {
	if s.nilKey != nil && s.nilKey(r.Key) {
		r.null |= nullKey
	}
	if s.nilValue != nil && s.nilValue(r.Value) {
		r.null |= nullValue
	}
	if s.keyedOnly && !r.HasKey() {
		s.scope.Drop(s.node, ReasonUnkeyed, nil)
		return
	}
	s.to = s.topic
	if s.choose != nil {
		s.record = r // not &r: every record would be allocated
		s.to = s.choose(&s.record, s.scope.Source())
	}
	s.encoding = true
	err := s.encode(&r)
	s.encoding = false
	if err != nil {
		// The handler has decided; a refusal is sticky in the task.
		_ = s.scope.Fail(s.node, &EncodeError{Topic: s.to, Err: err})
		return
	}
	topic := s.to
	n := s.scope.Partitions(topic)
	if n <= 0 {
		_ = s.scope.Fail(s.node, missing(topic, n))
		return
	}
	s.raw.Timestamp, s.raw.Headers = r.Timestamp, r.Headers.All()
	if s.multicast != nil {
		s.record = r
		s.send(topic, s.multicast(topic, &s.record, s.raw.Key, n, s.chosen[:0]))
		return
	}
	p := ByKey
	if s.partition != nil {
		s.record = r
		if p = s.partition(topic, &s.record, s.raw.Key, n); p < 0 && p != ByKey {
			s.scope.Drop(s.node, ReasonPartition, nil)
			return
		}
	}
	if p == ByKey {
		if s.raw.Key != nil {
			p = PartitionOf(s.raw.Key, n)
		} else {
			p = s.next(len(s.raw.Value), n)
		}
	}
	if err := s.scope.Send(s.node, topic, p, &s.raw); err != nil {
		s.refused(err)
	}
}

// guardedWrite is write for a task that guards its nodes: a serde that panics has failed to encode.
func (s *sink[K, V]) guardedWrite(r Record[K, V]) {
	defer func() {
		if v := recover(); v != nil {
			err := caught(v)
			if s.encoding {
				s.encoding, err = false, &EncodeError{Topic: s.to, Err: err}
			}
			_ = s.scope.Fail(s.node, err) // as in write
		}
	}()
	s.write(r)
}

// missing is the failure to write to a topic that has n partitions.
func missing(topic string, n int32) error {
	if n < 0 {
		return &WriteError{Topic: topic, Partition: -1, Err: errors.New("topic cannot be looked up"), Retriable: true}
	}
	return &WriteError{Topic: topic, Partition: -1, Err: errors.New("topic does not exist; create it before it is written")}
}

// send writes the record to several partitions.
func (s *sink[K, V]) send(topic string, partitions []int32) {
	s.chosen = partitions
	if len(partitions) == 0 {
		s.scope.Drop(s.node, ReasonPartition, nil)
	}
	for _, p := range partitions {
		if err := s.scope.Send(s.node, topic, p, &s.raw); err != nil {
			s.refused(err)
			return
		}
	}
}

// refused hands a record that the log does not take to the production handler; any other error is sticky in the task.
func (s *sink[K, V]) refused(err error) {
	if _, ok := errors.AsType[*WriteError](err); ok {
		_ = s.scope.Fail(s.node, err) // as above
	}
}

func (s *sink[K, V]) encode(r *Record[K, V]) error {
	buf := s.bytes[:0]
	var err error
	if r.HasKey() {
		if buf, err = s.key.Append(buf, r.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	}
	k := len(buf)
	if r.HasValue() {
		if buf, err = s.value.Append(buf, r.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	}
	s.bytes = buf
	s.raw.Key, s.raw.Value = nil, nil
	if r.HasKey() {
		s.raw.Key = present(buf[:k:k])
	}
	if r.HasValue() {
		s.raw.Value = present(buf[k:])
	}
	return nil
}

// present makes sure that bytes are not taken for null: a fresh buffer of no bytes is nil.
func present(b []byte) []byte {
	if b == nil {
		return empty
	}
	return b
}

// spreadBytes is after how many bytes of records without a key the next partition is taken: Kafka's batch.size, so that they
// arrive in few large batches (KIP-794).
const spreadBytes = 16 << 10

// spread distributes records without a key over the partitions.
type spread struct {
	current int32
	written int
}

func (s *spread) next(size int, n int32) int32 {
	if s.written >= spreadBytes {
		s.current, s.written = s.current+1, 0
	}
	s.written += size + 1
	if s.current >= n {
		s.current = 0
	}
	return s.current
}

// nilTest returns a function that tells whether a T is nil, or nil if a T never is.
func nilTest[T any]() func(T) bool {
	switch reflect.TypeFor[T]().Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		// The first word is what the language compares: a slice's data, an interface's type, else the pointer.
		return func(v T) bool { return *(*unsafe.Pointer)(unsafe.Pointer(&v)) == nil }
	}
	return nil
}
