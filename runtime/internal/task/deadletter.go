package task

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/runtime/internal/planted"
	"github.com/millrace-io/millrace/topology"
)

// Headers of a dead letter, Kafka Streams' (KIP-1034). They follow those of the record itself.
const (
	headerException = "__streams.errors.exception"  // type of the error
	headerMessage   = "__streams.errors.message"    // its text, null if it has none
	headerStack     = "__streams.errors.stacktrace" // of a panic; else the error with all its details
	headerTopic     = "__streams.errors.topic"      // where the record came from; null in a punctuation
	headerPartition = "__streams.errors.partition"  // -1 in a punctuation
	headerOffset    = "__streams.errors.offset"     // -1 in a punctuation
)

// maxStack bounds the stack trace in a dead letter, in bytes.
const maxStack = 16 << 10

// letter is a record that a handler wants sent.
type letter struct {
	topic string
	raw   topology.Raw
}

// letters collects what a handler wants sent.
type letters struct {
	topic string // of standard dead letters; empty: they go nowhere
	list  []letter
}

// DeadLetter sends the input record, as it was read, to the configured dead-letter topic, in the transaction of the record: its key,
// value and headers, and behind those the six headers of KIP-1034. In a punctuation key and value are null. Without a configured
// topic it does nothing.
func (f Failure) DeadLetter() {
	if f.letters == nil || f.letters.topic == "" {
		return
	}
	r := topology.Raw{Timestamp: f.Timestamp}
	if f.Raw != nil {
		r.Key, r.Value, r.Headers = f.Raw.Key, f.Raw.Value, f.Raw.Headers
	}
	r.Headers = append(slices.Clip(r.Headers), describe(f.Err, f.Source)...)
	f.letters.list = append(f.letters.list, letter{f.letters.topic, r})
}

// Send sends a record of the handler's own making to a topic, which must exist, in the transaction of the failed record. The
// partition is chosen by the key, as Kafka does. r may be changed after Send returns, its slices only after the handler has returned.
// Outside of a handler's call it does nothing.
func (f Failure) Send(topic string, r topology.Raw) {
	if f.letters != nil {
		f.letters.list = append(f.letters.list, letter{topic, r})
	}
}

// post writes a dead letter.
func (t *Task) post(l *letter) error {
	n := t.cfg.Output.Partitions(l.topic)
	if n <= 0 {
		return fmt.Errorf("dead letter: %w", &topology.WriteError{
			Topic: l.topic, Partition: -1, Err: errors.New("topic does not exist, or cannot be looked up; create it"), Retriable: n < 0,
		})
	}
	partition := max(t.cfg.Partition, 0) % n
	if l.raw.Key != nil {
		partition = topology.PartitionOf(l.raw.Key, n)
	}
	send := t.cfg.Output.Send
	if o, ok := t.cfg.Output.(outsider); ok && planted.Is(planted.DeadLetterOutside) {
		send = o.SendOutside
	}
	if err := send(l.topic, partition, &l.raw, t.originOf(noNode)); err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	return nil
}

// outsider is an output that could write outside of the transaction: none but for a planted bug.
type outsider interface {
	SendOutside(topic string, partition int32, r *topology.Raw, from *Origin) error
}

// describe returns the headers that say what failed, and where.
func describe(err error, source topology.Coordinates) []topology.Header {
	name, message, stack := portrait(err)
	h := []topology.Header{
		{Key: headerException, Value: []byte(name)},
		{Key: headerMessage, Value: textOrNull(message)},
		{Key: headerStack, Value: []byte(stack[:min(len(stack), maxStack)])},
		{Key: headerTopic, Value: textOrNull(source.Topic)},
		{Key: headerPartition, Value: strconv.AppendInt(nil, int64(source.Partition), 10)},
		{Key: headerOffset, Value: strconv.AppendInt(nil, source.Offset, 10)},
	}
	return h
}

func textOrNull(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// portrait describes an error. A panic counts as what was panicked with, and has a stack; of other errors, which have none, all that
// they say with %+v stands in its place. The type is that of the first error that does more than wrap another one in words.
func portrait(err error) (name, message, stack string) {
	stack = fmt.Sprintf("%+v", err)
	message = err.Error()
	if p, ok := errors.AsType[*PanicError](err); ok {
		stack = string(bytes.TrimSpace(p.Stack))
		message = fmt.Sprint(p.Value)
		if err, ok = p.Value.(error); !ok {
			return "panic", message, stack
		}
	}
	for {
		name = fmt.Sprintf("%T", err)
		inner := errors.Unwrap(err)
		if inner == nil || name != "*fmt.wrapError" && name != "*topology.EncodeError" && name != "*topology.WriteError" {
			return name, message, stack
		}
		err = inner
	}
}
