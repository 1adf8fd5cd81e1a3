package stream

import (
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// Store says how the result of an aggregation is kept, for values of type V. It is made by [Materialized].
type Store[V any] struct {
	name      string
	value     serde.Serde[V]
	retention time.Duration
	options   []state.SpecOption
}

// Materialized names the store of an aggregation and gives the serde of its values. The name is a contract: the changelog topic
// "<application id>-<name>-changelog" is called after it, and so is the repartition topic of a grouping without a name. An
// empty name is generated, and then changes with every operator that is added in front of it. It stands for Kafka Streams'
// Materialized.
func Materialized[V any](name string, value serde.Serde[V]) Store[V] {
	return Store[V]{name: name, value: value}
}

// Retention keeps windows for at least d of event time after their start, for queries; without it they are kept for their
// size and grace period, the least that is allowed.
func (m Store[V]) Retention(d time.Duration) Store[V] {
	m.retention = d
	return m
}

// With adds options of the store, such as state.WithoutChangelog.
func (m Store[V]) With(options ...state.SpecOption) Store[V] {
	m.options = append(m.options[:len(m.options):len(m.options)], options...)
	return m
}
