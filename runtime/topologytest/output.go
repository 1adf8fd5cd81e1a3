package topologytest

import (
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// Output reads typed records from one topic that the topology has written, each once, in order. Repartition and changelog topics
// can be read as well, by their full names.
type Output[K, V any] struct {
	d     *Driver
	topic string
	key   serde.Serde[K]
	value serde.Serde[V]
	next  int
}

// NewOutput returns an output that reads a topic from its beginning.
func NewOutput[K, V any](d *Driver, topic string, key serde.Serde[K], value serde.Serde[V]) *Output[K, V] {
	return &Output[K, V]{d: d, topic: topic, key: key, value: value}
}

// Partition returns the partition of the record that Read returns next, -1 if there is none.
func (o *Output[K, V]) Partition() int32 {
	if o.Len() == 0 {
		return -1
	}
	return o.d.log.topics[o.topic][o.next].partition
}

// Len returns how many records have not been read.
func (o *Output[K, V]) Len() int { return len(o.d.log.topics[o.topic]) - o.next }

// Read returns the next record. It fails the test if there is none, or if it cannot be decoded.
func (o *Output[K, V]) Read() topology.Record[K, V] {
	o.d.tb.Helper()
	if o.Len() == 0 {
		o.d.tb.Fatalf("topologytest: topic %s: no record after the %d that were read", o.topic, o.next)
	}
	r, err := o.decode(&o.d.log.topics[o.topic][o.next].Raw)
	o.d.must(err)
	o.next++
	return r
}

// ReadAll returns all records that have not been read.
func (o *Output[K, V]) ReadAll() []topology.Record[K, V] {
	o.d.tb.Helper()
	var all []topology.Record[K, V]
	for o.Len() > 0 {
		all = append(all, o.Read())
	}
	return all
}

// Latest reads all records that have not been read and returns the last value per key, as a table would hold them: a tombstone
// deletes, a record without a key is left out.
func Latest[K comparable, V any](o *Output[K, V]) map[K]V {
	o.d.tb.Helper()
	latest := map[K]V{}
	for o.Len() > 0 {
		switch r := o.Read(); {
		case !r.HasKey():
		case r.HasValue():
			latest[r.Key] = r.Value
		default:
			delete(latest, r.Key)
		}
	}
	return latest
}

func (o *Output[K, V]) decode(raw *topology.Raw) (topology.Record[K, V], error) {
	r := topology.Record[K, V]{Timestamp: raw.Timestamp, Headers: serde.NewHeaders(raw.Headers)}
	var err error
	if raw.Key == nil {
		r = r.WithoutKey()
	} else if r.Key, err = o.key.Decode(raw.Key); err != nil {
		return r, fmt.Errorf("topic %s offset %d: decode key: %w", o.topic, raw.Offset, err)
	}
	if raw.Value == nil {
		r = r.WithoutValue()
	} else if r.Value, err = o.value.Decode(raw.Value); err != nil {
		return r, fmt.Errorf("topic %s offset %d: decode value: %w", o.topic, raw.Offset, err)
	}
	return r, nil
}
