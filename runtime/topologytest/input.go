package topologytest

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// Input pipes typed records into one topic that the topology reads.
type Input[K, V any] struct {
	d       *Driver
	topic   string
	key     serde.Serde[K]
	value   serde.Serde[V]
	at      int64 // event time of the next record, milliseconds
	advance int64
}

// NewInput returns an input of a topic. Records get the driver's wall clock as of now as their event time, unless StartAt or the
// record says otherwise.
func NewInput[K, V any](d *Driver, topic string, key serde.Serde[K], value serde.Serde[V]) *Input[K, V] {
	return &Input[K, V]{d: d, topic: topic, key: key, value: value, at: d.now.UnixMilli()}
}

// StartAt gives the next record of Pipe the event time at, and each one after it advance more. It returns in.
func (in *Input[K, V]) StartAt(at time.Time, advance time.Duration) *Input[K, V] {
	in.at, in.advance = at.UnixMilli(), advance.Milliseconds()
	return in
}

// Pipe pipes a record and processes it to the end. An error fails the test.
func (in *Input[K, V]) Pipe(key K, value V) {
	in.d.tb.Helper()
	in.PipeAt(key, value, in.at)
	in.at += in.advance
}

// PipeAt is Pipe with an event time, in milliseconds since the epoch.
func (in *Input[K, V]) PipeAt(key K, value V, timestamp int64) {
	in.d.tb.Helper()
	in.PipeRecord(topology.NewRecord(key, value, timestamp))
}

// PipeRecord is Pipe with a whole record: headers, a null key, a tombstone.
func (in *Input[K, V]) PipeRecord(r topology.Record[K, V]) {
	in.d.tb.Helper()
	in.d.must(in.TryPipe(r))
}

// PipeAll pipes records one after the other.
func (in *Input[K, V]) PipeAll(records ...topology.Record[K, V]) {
	in.d.tb.Helper()
	for _, r := range records {
		in.PipeRecord(r)
	}
}

// TryPipe is PipeRecord, but returns the error.
func (in *Input[K, V]) TryPipe(r topology.Record[K, V]) error {
	raw := topology.Raw{Timestamp: r.Timestamp, Headers: r.Headers.All()}
	var err error
	if r.HasKey() {
		if raw.Key, err = in.key.Append([]byte{}, r.Key); err != nil {
			return fmt.Errorf("encode key for %s: %w", in.topic, err)
		}
	}
	if r.HasValue() {
		if raw.Value, err = in.value.Append([]byte{}, r.Value); err != nil {
			return fmt.Errorf("encode value for %s: %w", in.topic, err)
		}
	}
	return in.d.TryPipeRaw(in.topic, raw)
}
