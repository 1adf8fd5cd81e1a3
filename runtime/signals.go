package runtime

import (
	"sync"

	"github.com/millrace-io/millrace/topology"
)

// signals wake the supervisor. Workers raise them and never wait.
type signals struct {
	wake chan struct{} // has a value when there may be something to do
	mu   *sync.Mutex
	gone *[]topology.TaskID // dropped by workers on their own
}

func newSignals() signals {
	return signals{wake: make(chan struct{}, 1), mu: new(sync.Mutex), gone: new([]topology.TaskID)}
}

// changed says that the tasks of a worker started or ended.
func (s signals) changed() {
	select {
	case s.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}

// drop says that a worker has given tasks up.
func (s signals) drop(ids []topology.TaskID) {
	s.mu.Lock()
	*s.gone = append(*s.gone, ids...)
	s.mu.Unlock()
	s.changed()
}

func (s signals) dropped() []topology.TaskID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := *s.gone
	*s.gone = nil
	return ids
}
