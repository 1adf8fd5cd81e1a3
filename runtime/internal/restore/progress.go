package restore

import (
	"sync"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/topology"
)

// progress counts, for each task, the stores that are behind, and hands the task on when none is. Lanes share it.
type progress struct {
	offsets *inputOffsets
	ready   func(Ready)
	tasks   []Task
	mu      struct {
		sync.Mutex
		behind   map[topology.TaskID]int
		restored map[topology.TaskID]int64
		failures map[topology.TaskID]error
	}
	// handing keeps two lanes from calling ready at the same time; mu is not held during the call.
	handing sync.Mutex
}

func newProgress(tasks []Task, offsets *inputOffsets, ready func(Ready)) *progress {
	p := &progress{tasks: tasks, offsets: offsets, ready: ready}
	p.mu.behind = make(map[topology.TaskID]int)
	p.mu.restored = make(map[topology.TaskID]int64)
	p.mu.failures = make(map[topology.TaskID]error)
	return p
}

// expect notes that a store of the task is behind. All are noted before the lanes start.
func (p *progress) expect(id topology.TaskID) { p.mu.behind[id]++ }

// start hands on the tasks that have nothing to wait for.
func (p *progress) start() {
	for i := range p.tasks {
		if id := p.tasks[i].ID; p.mu.behind[id] == 0 && !p.failed(id) {
			p.hand(&p.tasks[i], 0)
		}
	}
}

// done notes that a store is at its changelog's end.
func (p *progress) done(c *catchUp) {
	p.mu.Lock()
	p.mu.behind[c.task.ID]--
	p.mu.restored[c.task.ID] += c.restored
	behind, restored := p.mu.behind[c.task.ID], p.mu.restored[c.task.ID]
	failed := p.mu.failures[c.task.ID] != nil
	p.mu.Unlock()
	if behind == 0 && !failed {
		p.hand(c.task, restored)
	}
}

// fail notes why a task cannot be made ready now. Its first failure counts.
func (p *progress) fail(id topology.TaskID, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.failures[id] == nil {
		p.mu.failures[id] = err
	}
}

func (p *progress) failed(id topology.TaskID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.failures[id] != nil
}

// err returns the failures, in the order of tasks.
func (p *progress) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all Failed
	for i := range p.tasks {
		if err := p.mu.failures[p.tasks[i].ID]; err != nil {
			all = append(all, &TaskError{p.tasks[i].ID, err})
		}
	}
	return all.orNil()
}

func (p *progress) hand(t *Task, restored int64) {
	r := Ready{
		ID:       t.ID,
		Offsets:  make(map[client.TopicPartition]client.Committed, len(t.Inputs)),
		Fresh:    make(map[client.TopicPartition]bool),
		Restored: restored,
	}
	for _, in := range t.Inputs {
		r.Offsets[in] = p.offsets.at[in]
		if p.offsets.fresh[in] {
			r.Fresh[in] = true
		}
	}
	p.handing.Lock()
	defer p.handing.Unlock()
	p.ready(r)
}
