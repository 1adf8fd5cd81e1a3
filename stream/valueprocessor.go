package stream

import "github.com/millrace-io/millrace/topology"

// ValueProcessor is a processor that cannot change keys, Kafka Streams' FixedKeyProcessor. One instance serves one task; all
// methods are called by the goroutine that owns it.
type ValueProcessor[K, V, R any] interface {
	// Init is called once before the first record. Stores are looked up here.
	Init(ctx *ValueContext[K, R]) error
	// Process takes one record. An error goes to the processing handler: the record is dropped at this node and
	// counted, or the task stops. What was forwarded before stays.
	Process(r topology.Record[K, V]) error
	// Close is called once, after the last record, also when the task ends without a commit.
	Close() error
}

// ValueContext is what a [ValueProcessor] reaches its task through: all that topology.Context has, but for a Forward that
// cannot change the key. It is valid from Init to Close, in the goroutine that calls the processor's methods.
type ValueContext[K, R any] struct {
	*context[K, R]
	current *topology.Record[K, R] // nil outside Process
}

// context keeps the embedded field unexported: its Forward is not to be reached.
type context[K, R any] = topology.Context[K, R]

// Forward sends value to every child, under the key, time and headers of the record that is being processed. It must be called
// from Process, during the call.
func (c *ValueContext[K, R]) Forward(value R) { c.ForwardAt(c.record().Timestamp, value) }

// ForwardAt is [ValueContext.Forward] with another event time, in milliseconds since the epoch.
func (c *ValueContext[K, R]) ForwardAt(timestamp int64, value R) {
	r := topology.WithValue(*c.record(), value)
	r.Timestamp = timestamp
	c.context.Forward(r)
}

// ForwardTo is [ValueContext.Forward] to the one child of that name. It is an error if there is none.
func (c *ValueContext[K, R]) ForwardTo(child string, value R) error {
	return c.context.ForwardTo(child, topology.WithValue(*c.record(), value))
}

// ForwardNull sends a null value to every child, under the key, time and headers of the record that is being processed.
func (c *ValueContext[K, R]) ForwardNull() { c.context.Forward(c.record().WithoutValue()) }

func (c *ValueContext[K, R]) record() *topology.Record[K, R] {
	if c.current == nil {
		panic("stream: ValueContext.Forward called outside Process: there is no record whose key it could have")
	}
	return c.current
}

// fixedKey runs a ValueProcessor as a Processor.
type fixedKey[K, V, R any] struct {
	processor ValueProcessor[K, V, R]
	ctx       ValueContext[K, R]
	current   topology.Record[K, R]
}

func (p *fixedKey[K, V, R]) Init(ctx *topology.Context[K, R]) error {
	p.ctx.context = ctx
	return p.processor.Init(&p.ctx)
}

func (p *fixedKey[K, V, R]) Process(r topology.Record[K, V]) error {
	p.current = topology.WithoutValueAs[R](r)
	p.ctx.current = &p.current
	defer func() { p.ctx.current = nil }() // also when the processor panics
	return p.processor.Process(r)
}

// Flush implements topology.Flusher for a processor that does.
func (p *fixedKey[K, V, R]) Flush() error {
	if f, ok := p.processor.(topology.Flusher); ok {
		return f.Flush()
	}
	return nil
}

func (p *fixedKey[K, V, R]) Close() error { return p.processor.Close() }
