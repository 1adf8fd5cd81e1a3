package topology

import (
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// GlobalProcessor fills a global store: code of the user's between the records of a topic and a store that every instance has whole. There is
// one for each instance; its methods are called one at a time, by the goroutine that follows the topic. It writes its store and nothing else: it
// has no children to forward to, no other stores and no schedules (P-27).
//
// Every start of an instance runs all records of the topic through it again, before the first task runs, so what it makes of a record must
// follow from the record and the store.
type GlobalProcessor[S state.GlobalLayer, K, V any] interface {
	// Init is called once before the first record. store is valid until Close.
	Init(ctx *GlobalContext, store S) error
	// Process takes one record; those of one partition come in the order of the log. An error stops the instance, unless the handler for
	// global stores lets it pass: then the record is dropped and counted, and what it has written stays.
	Process(r Record[K, V]) error
	// Close is called once, after the last record.
	Close() error
}

// GlobalScope is what a global store's processor reaches: the runtime implements it, and the test driver.
type GlobalScope interface {
	// Now is the wall clock in milliseconds.
	Now() int64
	// Drop counts and logs the record at hand as left out.
	Drop(reason Reason, detail error)
}

// GlobalContext is what a GlobalProcessor reaches the instance through, from Init to Close, in the goroutine that calls it.
type GlobalContext struct {
	scope  GlobalScope
	source Coordinates
}

// Metadata returns where the record that is being processed came from; before the first one Partition and Offset are -1 (P-12).
func (c *GlobalContext) Metadata() Coordinates { return c.source }

// CurrentTime returns the wall clock in milliseconds since the epoch.
func (c *GlobalContext) CurrentTime() int64 { return c.scope.Now() }

// Drop counts and logs the record that is being processed as left out. detail may be nil.
func (c *GlobalContext) Drop(reason Reason, detail error) { c.scope.Drop(reason, detail) }

// GlobalInstance is the running code of a global store. A panic of the user's code is an error, in Close too.
type GlobalInstance struct {
	// Take processes one record of the topic. An error is one of the processor if the record was decoded, else one of a serde or of the
	// timestamp extractor.
	Take  func(from Coordinates, r *Raw) (decoded bool, err error)
	Close func() error
}

// AddGlobalStore adds a store of which every instance holds all that a topic's partitions make of it: newProcessor makes what fills it. Every
// processor of the topology may read it; passing it to AddProcessor says so in the description, and connects nothing.
//
//	rates := topology.AddGlobalStore(b, "rates", "quotes", serde.String, quoteSerde, state.GlobalSpec("rates", serde.String, serde.Float64), newMean)
//
// The store is in memory and filled anew at every start: the topic must hold all that it is made of. It is read from its start, whatever
// the group has committed. It stands for Kafka Streams' Topology.addGlobalStore.
func AddGlobalStore[P GlobalProcessor[S, K, V], S state.GlobalLayer, K, V any](
	b *Builder, name, topic string, key serde.Serde[K], value serde.Serde[V], spec *state.Spec, newProcessor func() P, options ...SourceOption[K, V],
) Store[S] {
	g := NewGlobalStore[P, S](name, topic, key, value, newProcessor, options...)
	g.Store, g.After = spec.Name, len(b.t.Nodes)
	b.t.Globals = append(b.t.Globals, g)
	return AddStore[S](b, spec)
}

// NewGlobalStore returns what fills a global store, not yet part of a topology.
func NewGlobalStore[P GlobalProcessor[S, K, V], S state.GlobalLayer, K, V any](
	name, topic string, key serde.Serde[K], value serde.Serde[V], newProcessor func() P, options ...SourceOption[K, V],
) GlobalTable {
	source := NewSource(name, []string{topic}, key, value, options...)
	return GlobalTable{Name: name, Topic: topic, reset: source.Reset, Build: func(scope GlobalScope, layer state.GlobalLayer) (GlobalInstance, error) {
		store, ok := layer.(S)
		if !ok {
			return GlobalInstance{}, fmt.Errorf("its store is a %T, its processor wants %T", layer, store)
		}
		var p P
		f := &filling{ctx: &GlobalContext{scope: scope, source: Coordinates{Topic: topic, Partition: -1, Offset: -1}}, partitions: map[int32]*filled{}}
		down := Emit[K, V](func(r Record[K, V]) { f.err = p.Process(r) })
		inst, err := source.Build(nil, down) // a source looks at nothing but what is below it
		if err != nil {
			return GlobalInstance{}, err
		}
		f.newHead = inst.Ports[0].(NewHead)
		err = guardedCall(func() error {
			p = newProcessor()
			return p.Init(f.ctx, store)
		})
		if err != nil {
			return GlobalInstance{}, fmt.Errorf("init: %w", err)
		}
		return GlobalInstance{Take: f.take, Close: func() error { return guardedCall(p.Close) }}, nil
	}}
}

// filling runs the records of a topic through a global store's processor.
type filling struct {
	ctx        *GlobalContext
	newHead    NewHead
	partitions map[int32]*filled
	err        error // of the processor, of the record at hand
}

// filled is one partition of the topic.
type filled struct {
	head Head
	time int64 // the highest event time seen, -1 if none
}

func (f *filling) take(from Coordinates, r *Raw) (decoded bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
	}()
	p := f.partitions[from.Partition]
	if p == nil {
		p = &filled{head: f.newHead(), time: -1}
		f.partitions[from.Partition] = p
	}
	f.ctx.source, f.err = from, nil
	t, err := p.head.Decode(from, r, p.time)
	if err != nil {
		return false, err
	}
	if t < 0 {
		f.ctx.Drop(ReasonTimestamp, nil)
		return true, nil
	}
	p.time = max(p.time, t)
	decoded = true
	p.head.Emit()
	return true, f.err
}
