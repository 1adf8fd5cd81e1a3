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
	}
	// handing keeps two lanes from calling ready at the same time; mu is not held during the call.
	handing sync.Mutex
}

func newProgress(tasks []Task, offsets *inputOffsets, ready func(Ready)) *progress {
	p := &progress{tasks: tasks, offsets: offsets, ready: ready}
	p.mu.behind = make(map[topology.TaskID]int)
	p.mu.restored = make(map[topology.TaskID]int64)
	return p
}

// expect notes that a store of the task is behind. All are noted before the lanes start.
func (p *progress) expect(id topology.TaskID) { p.mu.behind[id]++ }

// start hands on the tasks that have nothing to wait for.
func (p *progress) start() {
	for i := range p.tasks {
		if p.mu.behind[p.tasks[i].ID] == 0 {
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
	p.mu.Unlock()
	if behind == 0 {
		p.hand(c.task, restored)
	}
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
