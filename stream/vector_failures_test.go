package stream_test

import (
	"errors"
	"strings"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// The programs about failures: what a handler answers, and what goes to the dead-letter topic.

var failurePrograms = map[string]program{
	"error-deserialize-dlq": {build: longsAsText, options: []topologytest.Option{
		topologytest.OnDeserialization(topologytest.LogAndContinue), topologytest.DeadLetters("dlq"),
	}},
	"error-deserialize-fail-dlq": {build: longsAsText, options: []topologytest.Option{
		topologytest.OnDeserialization(topologytest.LogAndFail), topologytest.DeadLetters("dlq"),
	}},
	"error-process-continue":  {build: threeChildren, options: []topologytest.Option{topologytest.OnProcessing(topologytest.LogAndContinue)}},
	"error-process-fail":      {build: threeChildren},
	"error-process-dlq":       {build: failingAfterRepartition, options: continuingWithLetters},
	"error-process-dlq-table": {build: failingTable, options: continuingWithLetters},
}

var continuingWithLetters = []topologytest.Option{
	topologytest.OnProcessing(topologytest.LogAndContinue), topologytest.DeadLetters("dlq"),
}

// threeChildren has three children, of which the second one panics at x.
func threeChildren(p *play) {
	in := p.from("in")
	to(stream.MapValues(in, func(v str) str { return of(s(v) + "-1") }, stream.Named("first")), "out1")
	to(stream.MapValues(in, func(v str) str {
		if s(v) == "x" {
			panic("boom " + s(v))
		}
		return of(s(v) + "-2")
	}, stream.Named("bad")), "out2")
	to(stream.MapValues(in, func(v str) str { return of(s(v) + "-3") }, stream.Named("last")), "out3")
}

func failingAfterRepartition(p *play) {
	keyed := stream.SelectKey(p.from("in"), func(_, v str) str { return v })
	to(stream.MapValues(keyed.Repartition(stream.RepartitionedWith(texts, texts).Named("rep")), func(v str) str {
		switch {
		case v != nil && strings.HasPrefix(*v, "x"):
			panic(errors.New("boom " + *v))
		case v != nil && strings.HasPrefix(*v, "y"):
			panic(errors.New(""))
		}
		return v
	}), "out")
}

// failingTable fails in an aggregator, below the table, and in a punctuation.
func failingTable(p *play) {
	p.stores["agg"] = keyValueContent[str, str]("agg")
	in := p.from("in")
	table := stream.Aggregate(stream.GroupByKey(in), zero, func(k, v, agg str) str {
		if *v == "x" {
			panic(errors.New("boom"))
		}
		return add(k, v, agg)
	}, stream.Materialized("agg", texts))
	to(stream.MapValues(table.ToStream(), func(v str) str {
		if v != nil && strings.HasSuffix(*v, "9") {
			panic(errors.New("nine"))
		}
		return v
	}), "out")
	stream.Process(in, func() *ticker { return &ticker{p: p} })
}

// ticker fails every ten milliseconds of stream time.
type ticker struct{ p *play }

func (t *ticker) Init(ctx *topology.Context[str, str]) error {
	ctx.Schedule(10*time.Millisecond, topology.PunctuateStreamTime, func(now int64) error {
		t.p.trace("tick %d", now)
		return errors.New("tick")
	})
	return nil
}

func (*ticker) Process(topology.Record[str, str]) error { return nil }
func (*ticker) Close() error                            { return nil }

// errorHeader shows a header of a dead letter without what is Java's or Go's own: types, stacks, and what their deserialisers say.
func errorHeader(key, value *string) string {
	v := text(value)
	switch name := text(key); {
	case name == "__streams.errors.exception":
		v = "<type>"
	case name == "__streams.errors.stacktrace" && v != "null":
		v = "<stack>"
	case name == "__streams.errors.message" && (v == "Size of data received by LongDeserializer is not 8" || strings.HasPrefix(v, "decode value: ")):
		v = "<not eight bytes>"
	}
	return text(key) + ":" + v
}
