package state

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/serde"
)

// Changelog takes the changes of one store partition; the runtime appends them to the changelog topic in the open
// transaction. Append copies key and value. A nil value is a tombstone. timestamp is in milliseconds since the epoch.
type Changelog interface {
	Append(key, value []byte, timestamp int64) error
}

// HeaderChangelog is a Changelog that takes headers. Stores of stream-stream joins give it those of their records, as Kafka Streams does
// and so do stores that keep headers; a Changelog that is none gets the records without.
type HeaderChangelog interface {
	AppendWith(headers []serde.Header, key, value []byte, timestamp int64) error
}

// Engine is an ordered map of bytes on disk or in memory: Pebble under the runtime, a sorted map under the test driver.
// One engine holds all stores of an instance, as key ranges. It is safe for use by several goroutines.
type Engine interface {
	// Get appends the value of key to dst.
	Get(dst, key []byte) (value []byte, ok bool, err error)
	// Scan iterates over lo <= key < hi, downwards if reverse. A nil hi is open. The cursor sees a state not older than
	// the call. It must be closed.
	Scan(lo, hi []byte, reverse bool) Cursor
	// Apply writes a batch atomically. It need not be durable before Sync.
	Apply(*Batch) error
	// Sync returns when all that was applied before is durable.
	Sync() error
	Close() error
}

// Cursor iterates over an engine. Key and Value are valid until the next call.
type Cursor interface {
	Next() bool
	Key() []byte
	Value() []byte
	Err() error
	Close() error
}

// Position says up to where a store partition holds its changelog. Offsets mean nothing without the log that they index,
// so it names that log (DESIGN D5).
type Position struct {
	ClusterID string
	TopicID   [16]byte
	Partition int32
	Next      int64 // offset of the next changelog record to apply
	// AsOf is when the partition was last known to hold all that its changelog held, or was emptied to be restored: a wall time in
	// milliseconds since the epoch, about a minute late after a crash. What the changelog got later may have been compacted since. 0: not
	// known.
	AsOf int64
}

// Kind is the kind of a store; it fixes its changelog's format and topic settings.
type Kind uint8

// The kinds of store.
const (
	KindKeyValue     Kind = iota // timestamped key-value (S-06)
	KindWindow                   // timestamped window store (S-19)
	KindGlobal                   // key-value store of a global table; its topic is the changelog
	KindSession                  // session store (S-17)
	KindJoinWindow               // window store that keeps duplicates, of stream-stream joins (S-14)
	KindVersioned                // versioned key-value store (S-08)
	KindBuffer                   // time-ordered buffer of a table's changes, one per key (S-24)
	KindRecordBuffer             // time-ordered buffer of a stream's records (S-24)
)

var kindNames = [...]string{"key-value", "window", "global", "session", "join-window", "versioned", "buffer", "record-buffer"}

// String names the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// Spec declares a store. The typed function that makes it knows K and V and puts them into Open.
type Spec struct {
	Name    string // base name; the changelog topic is "<application id>-<Name>-changelog"
	Kind    Kind
	Logging bool
	// Topic overrides settings of the changelog topic.
	Topic map[string]string
	// Retention is set for stores of windows and sessions, and is the history of versioned ones; WindowSize for those of windows.
	Retention, WindowSize time.Duration
	// SourceTopic, if not empty, is a topic that the application reads and that stands for the changelog: a table whose rows are that topic's
	// records. There is no other; nothing is appended. Such a store is restored up to the position that was committed for the
	// topic, and Row says what processing made of a record: the row with its key and value as the store writes them, a nil value for
	// a delete, or nothing. It must not be nil, must be safe for use by several goroutines, and may return what it was given.
	SourceTopic string
	Row         func(key, value []byte, timestamp int64) (k, v []byte, ok bool)
	// Hold is how much longer than Retention entries are kept, without the changelog's topic being told.
	Hold time.Duration
	// KeySerde and ValueSerde name the serdes, for the record of what the topology is (DESIGN D10).
	KeySerde, ValueSerde string
	// Headers go with each changelog record that has a value: Kafka Streams marks the format of some so.
	Headers []serde.Header
	// KeepsHeaders is set by the option KeepHeaders.
	KeepsHeaders bool
	// Sources says that somebody below asks where records came from: Changes then shows the coordinates of each key's last
	// write.
	Sources bool
	// Open makes the typed store of one partition over its committed layer.
	Open func(Env) (Layer, error)
}

// Coordinates name one record of the log.
type Coordinates struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Source knows where the record that is being processed came from. The task is one.
type Source interface {
	Source() Coordinates
	SetSource(Coordinates) Coordinates
}

// Env is what one store partition stands on.
type Env struct {
	Committed *Partition // the bytes below, shared by all tasks that ever own this store partition
	Changelog Changelog  // nil: not logged
	Origins   Origins    // nil: nobody asks where a change came from
	Source    Source     // nil: where writes came from is not kept, see Spec.Sources
}

// Origins lets a task know, while Changes hands a change over, which input record made it: the last that wrote the key. Who can be
// asked after a failure what to do with the record needs it.
type Origins interface {
	// Mark returns a number for the input record that is being processed, 0 for none. It holds until the commit.
	Mark() uint32
	// Resume says that what follows comes from the record with that number.
	Resume(mark uint32)
}

// Layer is the transaction layer of one store partition, as the task sees it. It belongs to the task's goroutine.
//
// Writes stay in it until Commit. Flush appends the dirty entries to the changelog, once each, in the order of their last
// writes; Commit then hands them to the committed layer, with the changelog's next offset after the transaction. Drop
// forgets them.
type Layer interface {
	Flush() error
	Commit(next int64) error
	Drop()
	// Dirty reports whether there are writes that Flush has not seen.
	Dirty() bool
	// Bytes returns the memory held, for the instance's bounds.
	Bytes() (dirty, cached int64)
}

// Change is what flows between table operators: a new value, the value that it replaces, and whether it is the latest by
// event time. An absent New is a delete.
type Change[V any] struct {
	New, Old serde.Maybe[V]
	Latest   bool
}

// GlobalLayer is the layer of a global table's store (KindGlobal). One is shared by all tasks of the instance: its typed reads
// are safe for use by several goroutines while the global table's consumer applies records.
type GlobalLayer interface {
	Layer
	// Apply takes one record of the table's topic; a nil value deletes.
	Apply(key, value []byte, timestamp int64) error
}
