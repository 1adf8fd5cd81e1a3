package stream

import (
	"github.com/millrace-io/millrace/topology"
)

// NameOption names one operator. It is made by [Named] and accepted wherever an operator can be named.
type NameOption struct{ name string }

// Named gives an operator a name, which appears in the topology's description, in metrics and in log lines. Without it the
// operator is called after its kind, with a number. A name has letters, digits, '.', '_' and '-', at most 249 of them, and
// is used once. Naming an operator never renames another. It stands for Kafka Streams' Named.
func Named(name string) NameOption { return NameOption{name} }

// StepOption is an option of an operator that makes one node.
type StepOption interface{ step(*stepConfig) }

// SinkOption is an option of To and ToTopics: [Named] and [PartitionBy].
type SinkOption interface{ sink(*sinkConfig) }

type sinkConfig struct {
	stepConfig
	partitioners []any // topology.SinkOption[K, V] of some K and V
}

// AggregateOption is an option of Count, Reduce, Aggregate and AggregateWindows.
type AggregateOption interface{ aggregate(*stepConfig) }

func (n NameOption) step(c *stepConfig)      { c.given = append(c.given, n.name) }
func (n NameOption) sink(c *sinkConfig)      { n.step(&c.stepConfig) }
func (n NameOption) aggregate(c *stepConfig) { n.step(c) }
func (n NameOption) process(c *processConfig) {
	n.step(&c.stepConfig)
}

// stepConfig is what the options of one operator say.
type stepConfig struct{ given []string }

// take returns the name that was given, empty if none was.
func (c *stepConfig) take(b *Builder) string {
	switch len(c.given) {
	case 0:
		return ""
	case 1:
		if c.given[0] == "" {
			b.plan.Fail("Named: the name is empty; leave the option out for a generated name")
		}
	default:
		b.plan.Fail("operator %s: Named is given %d times: %q", c.given[0], len(c.given), c.given)
	}
	return c.given[0]
}

// SourceOption is an option of [From] for a stream of K and V.
type SourceOption[K, V any] func(*sourceConfig[K, V])

type sourceConfig[K, V any] struct {
	name   string
	source []topology.SourceOption[K, V]
}

// Timestamps makes a source take event times from e, in milliseconds since the epoch, instead of the log's. It stands
// for Kafka Streams' TimestampExtractor. A record for which e returns a negative time is dropped and counted; one for which
// it returns an error goes to the deserialisation handler, with the error's own reason if it brings one.
func Timestamps[K, V any](e topology.Extractor[K, V]) SourceOption[K, V] {
	return func(c *sourceConfig[K, V]) { c.source = append(c.source, topology.WithExtractor(e)) }
}

// OffsetReset makes a source begin where r says if the group has no committed offset: [topology.Latest], [topology.Ago] or [topology.NoReset].
// By default it begins at the log's start, so that nothing is left out. A table that begins elsewhere has a changelog of its own.
// It stands for Kafka Streams' Consumed.withOffsetResetPolicy.
func OffsetReset[K, V any](r topology.OffsetReset) SourceOption[K, V] {
	return func(c *sourceConfig[K, V]) { c.source = append(c.source, topology.WithOffsetReset[K, V](r)) }
}

// SourceNamed is [Named] for a source.
func SourceNamed[K, V any](name string) SourceOption[K, V] {
	return func(c *sourceConfig[K, V]) { c.name = name }
}
