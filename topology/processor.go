package topology

import "fmt"

// Processor is a step written by hand, Kafka Streams' Processor. One instance serves one task; all methods are called by
// the goroutine that owns it.
//
// Optional methods: Flush() error is called before each commit, see Instance.Flush.
type Processor[KIn, VIn, KOut, VOut any] interface {
	// Init is called once before the first record. Schedules are made and stores looked up here.
	Init(ctx *Context[KOut, VOut]) error
	// Process takes one record. An error goes to the processing handler: the record is dropped at this node and
	// counted, or the task stops. What was forwarded before stays (P-30).
	Process(r Record[KIn, VIn]) error
	// Close is called once, after the last record, also when the task ends without a commit.
	Close() error
}

// Flusher is implemented by a processor that holds records back until the commit.
type Flusher interface{ Flush() error }

// NewProcessor returns a node that runs a Processor, not yet part of a topology.
func NewProcessor[P Processor[KIn, VIn, KOut, VOut], KIn, VIn, KOut, VOut any](name string, newProcessor func() P) *Node {
	n := &Node{
		Name: name,
		Kind: KindProcessor,
		In:   []Edge{EdgeOf[KIn, VIn]()},
		Out:  EdgeOf[KOut, VOut](),
		Fan:  Fan[KOut, VOut],
	}
	n.Build = func(s Scope, down any) (Instance, error) {
		emit, ok := down.(Emit[KOut, VOut])
		if !ok {
			return Instance{}, fmt.Errorf("built with %T, want %T", down, emit)
		}
		p := newProcessor()
		if err := p.Init(&Context[KOut, VOut]{scope: s, node: n, down: emit}); err != nil {
			return Instance{}, err
		}
		inst := Instance{Close: p.Close}
		if f, ok := any(p).(Flusher); ok {
			inst.Flush = f.Flush
		}
		inst.Ports = []any{Emit[KIn, VIn](func(r Record[KIn, VIn]) {
			if err := p.Process(r); err != nil {
				_ = s.Fail(n.ID, err) // the handler has decided; a refusal is sticky in the task
			}
		})}
		return inst, nil
	}
	return n
}
