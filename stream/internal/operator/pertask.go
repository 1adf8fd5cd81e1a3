package operator

import (
	"sync"

	"github.com/millrace-io/millrace/topology"
)

// perTask is what several nodes of one operator share in each task. Tasks are built and closed by several goroutines; what
// is shared belongs to the task's.
type perTask[T any] struct {
	mu struct {
		sync.Mutex
		tasks map[topology.Scope]*shared[T]
	}
}

type shared[T any] struct {
	value T
	users int
}

// in returns what the nodes share in e's task, made by the first of them. It is forgotten when the last one closes.
func (p *perTask[T]) in(e env, first func() (T, error)) (*T, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.mu.tasks[e.scope]
	if s == nil {
		v, err := first()
		if err != nil {
			return nil, err
		}
		if p.mu.tasks == nil {
			p.mu.tasks = map[topology.Scope]*shared[T]{}
		}
		s = &shared[T]{value: v}
		p.mu.tasks[e.scope] = s
	}
	s.users++
	e.atClose(func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(p.mu.tasks, e.scope)
		}
		return nil
	})
	return &s.value, nil
}
