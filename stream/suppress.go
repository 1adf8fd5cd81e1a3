package stream

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
	"github.com/millrace-io/millrace/stream/window"
)

// Buffer bounds what a suppression holds back: [Unbounded], [MaxRecords] or [MaxBytes]. It stands for Kafka Streams'
// Suppressed.BufferConfig.
type Buffer interface{ limits() limits }

// limits are the bounds of a buffer.
type limits struct {
	records int
	bytes   int64
	strict  bool
	options []state.SpecOption
}

var unlimited = limits{records: math.MaxInt, bytes: math.MaxInt64}

// EagerBuffer passes the oldest entries on early when it is full. [EagerBuffer.ShutDownWhenFull] makes it strict.
type EagerBuffer struct{ l limits }

// StrictBuffer never passes an entry on before its time. If it has bounds and becomes full, processing fails.
type StrictBuffer struct{ l limits }

func (b EagerBuffer) limits() limits  { return b.l }
func (b StrictBuffer) limits() limits { return b.l }

// Unbounded returns a buffer that holds back whatever comes. What waits is on disk; its keys and times are in memory.
func Unbounded() StrictBuffer {
	b := StrictBuffer{unlimited}
	b.l.strict = true
	return b
}

// MaxRecords returns a buffer of at most n entries, one for each key.
func MaxRecords(n int) EagerBuffer { return EagerBuffer{unlimited}.MaxRecords(n) }

// MaxBytes returns a buffer of at most n bytes: of serialised keys and values, topic names and headers, and 28 for each entry.
func MaxBytes(n int64) EagerBuffer { return EagerBuffer{unlimited}.MaxBytes(n) }

// MaxRecords returns the buffer with a bound of records too.
func (b EagerBuffer) MaxRecords(n int) EagerBuffer {
	b.l.records = n
	return b
}

// MaxBytes returns the buffer with a bound of bytes too.
func (b EagerBuffer) MaxBytes(n int64) EagerBuffer {
	b.l.bytes = n
	return b
}

// ShutDownWhenFull returns a buffer with the same bounds that makes processing fail when it is full, instead of passing entries on
// early.
func (b EagerBuffer) ShutDownWhenFull() StrictBuffer {
	b.l.strict = true
	return StrictBuffer(b)
}

// With adds options of the buffer's store, such as state.WithoutChangelog: then what waits is lost when the task moves.
func (b EagerBuffer) With(options ...state.SpecOption) EagerBuffer {
	b.l.options = append(b.l.options[:len(b.l.options):len(b.l.options)], options...)
	return b
}

// With is [EagerBuffer.With].
func (b StrictBuffer) With(options ...state.SpecOption) StrictBuffer {
	return StrictBuffer(EagerBuffer(b).With(options...))
}

// Suppressed says until when changes are held back: [UntilTimeLimit] for any table, [UntilWindowCloses] for one of windows. It stands
// for Kafka Streams' class of that name.
type Suppressed interface{ suppressed() (TimeLimit, bool) }

// TimeLimit holds back changes for a time. It is made by [UntilTimeLimit].
type TimeLimit struct {
	wait   time.Duration
	limits limits
	given  bool // false: made without a buffer
}

// FinalResults holds back windows until they close. It is made by [UntilWindowCloses].
type FinalResults struct{ limit TimeLimit }

func (l TimeLimit) suppressed() (TimeLimit, bool)    { return l, false }
func (f FinalResults) suppressed() (TimeLimit, bool) { return f.limit, true }

// UntilTimeLimit holds back the changes of a key for d of event time after the first of them, and then passes the last one on. It holds
// back all of them if time does not move.
func UntilTimeLimit(d time.Duration, b Buffer) TimeLimit {
	l := TimeLimit{wait: d}
	if b != nil {
		l.limits, l.given = b.limits(), true
	}
	return l
}

// UntilWindowCloses holds back the row of a window until the window is closed: until the highest event time that the operator has
// seen has reached its end and the grace period. So each window has one result, its last. Deletes are swallowed. The buffer is strict: an
// early result would not be the last.
func UntilWindowCloses(b StrictBuffer) FinalResults {
	return FinalResults{TimeLimit{limits: b.l, given: true}}
}

// Suppress holds back the table's changes: of each key the last one is passed on when its time has come, in the order of the times at
// which keys began to wait. It has the time, the headers and the old row of that last change. A look-up from below sees the row as it was
// before the changes that wait.
//
// Only a change that comes to this operator in its task moves the time. The buffer has a changelog of its own, and the table above gets a
// store if it has none. It is not for versioned tables. It stands for Kafka Streams' KTable.suppress.
func (t KTable[K, V]) Suppress(l TimeLimit, opts ...StepOption) KTable[K, V] {
	return KTable[K, V](suppress(rows[K, V](t), l, nil, opts))
}

// Suppress is [KTable.Suppress] for a table of windows, which can also wait for the windows to close, see [UntilWindowCloses].
func (t WindowedTable[K, V]) Suppress(s Suppressed, opts ...StepOption) WindowedTable[K, V] {
	limit, final := s.suppressed()
	var end func(window.Windowed[K]) int64
	if final {
		limit.wait = t.grace
		end = func(w window.Windowed[K]) int64 { return w.End }
	}
	return windows(suppress(t.rows(), limit, end, opts), t.grace)
}

func suppress[K, V any](t rows[K, V], l TimeLimit, end func(K) int64, opts []StepOption) rows[K, V] {
	b := t.b
	var c stepConfig
	for _, o := range opts {
		o.step(&c)
	}
	given := c.take(b)
	name := b.plan.NameUnburned(given, plan.Suppress)
	if given != "" {
		given += storeSuffix
	}
	store := b.plan.StoreName(given, plan.Suppress)
	b.require(name, l.wait >= 0, fmt.Sprintf("the time limit %v is negative", l.wait))
	b.require(name, l.given, "it has no buffer: give it by Unbounded, MaxRecords or MaxBytes")
	b.require(name, !l.given || l.limits.records > 0 && l.limits.bytes > 0, "the buffer has room for nothing")
	const fix = "the buffer needs it: give it where the table begins, or by Materialized"
	b.require(name, t.key != nil, "the key serde is unknown; "+fix)
	b.require(name, t.value != nil, "the value serde is unknown; "+fix)
	if t.table == nil {
		return t // of an aggregation that has been refused
	}
	b.require(name, !t.table.Versioned, "the table is versioned: its changes cannot be held back")
	s := &operator.Suppress[K, V]{
		Store: store, Wait: l.wait.Milliseconds(), At: end, Final: end != nil,
		MaxRecords: l.limits.records, MaxBytes: l.limits.bytes, Strict: l.limits.strict,
	}
	b.addStore(state.BufferSpec(store, t.key, t.value, l.limits.options...))
	n, table := s.Node(name, t.table)
	node := b.plan.Add(n, t.node)
	node.ReadsSource()
	return rows[K, V]{b: b, node: node, key: t.key, value: t.value, table: table}
}
