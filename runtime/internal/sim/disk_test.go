package sim

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
)

// disk is what an instance's state directory holds: the batches that its engine was given, in order. A crash keeps what was
// synced, and of the rest a part from the front, as an engine without a write-ahead log does.
type disk struct {
	mu      sync.Mutex
	batches [][]write
	synced  int
	open    *engine
}

type write struct {
	op   state.Op
	a, b []byte
}

// engine is the disk while a process has it open.
type engine struct {
	*memstore.Engine
	disk  *disk
	apply func() // called before a batch counts, if not nil
}

// errCrashed is what a dead process would get to know.
var errCrashed = errors.New("the process was killed")

// mount opens the disk.
func (d *disk) mount(apply func()) (*engine, error) {
	e := &engine{memstore.New(), d, apply}
	for _, writes := range d.batches {
		if err := e.Engine.Apply(batchOf(writes)); err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = e
	return e, nil
}

func batchOf(writes []write) *state.Batch {
	var b state.Batch
	for _, w := range writes {
		switch w.op {
		case state.OpSet:
			b.Set(w.a, w.b)
		case state.OpDelete:
			b.Delete(w.a)
		case state.OpDeleteRange:
			b.DeleteRange(w.a, w.b)
		}
	}
	return &b
}

// copy returns a disk that holds the same.
func (d *disk) copy() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &disk{batches: slices.Clone(d.batches), synced: d.synced}
}

// detach takes the disk away from its process.
func (d *disk) detach() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = nil
}

// crash loses what was not synced, from some point on.
func (d *disk) crash(rng *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.batches = d.batches[:d.synced+rng.IntN(len(d.batches)-d.synced+1)]
	d.synced = len(d.batches)
}

// Apply implements state.Engine.
func (e *engine) Apply(b *state.Batch) error {
	if e.apply != nil {
		e.apply()
	}
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	if e.disk.open != e {
		return errCrashed
	}
	var writes []write
	err := b.Each(func(op state.Op, x, y []byte) error {
		writes = append(writes, write{op, bytes.Clone(x), bytes.Clone(y)})
		return nil
	})
	if err != nil {
		return err
	}
	e.disk.batches = append(e.disk.batches, writes)
	return e.Engine.Apply(batchOf(writes))
}

// Sync implements state.Engine.
func (e *engine) Sync() error {
	e.disk.mu.Lock()
	defer e.disk.mu.Unlock()
	if e.disk.open != e {
		return errCrashed
	}
	e.disk.synced = len(e.disk.batches)
	return e.Engine.Sync()
}
