package commitlog

import "sync"

// space is where appends wait while memory or the journal is over its bound.
type space struct {
	mu   sync.Mutex
	cond sync.Cond
}

func (s *space) init() { s.cond.L = &s.mu }

// wake has the waiting appends look again.
func (s *space) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
}

// admit waits until there is room for an append. No lock of the log or of a machine may be held: what frees memory needs
// them. It returns at once when the log ends.
func (l *Log) admit() {
	if l.hasSpace() {
		return
	}
	l.kickWriter()
	l.space.mu.Lock()
	defer l.space.mu.Unlock()
	for !l.hasSpace() {
		l.space.cond.Wait()
	}
}

func (l *Log) hasSpace() bool {
	return l.tailBytes.Load() <= 2*l.cfg.TailBytes && l.journal.FileSize() <= 4*l.cfg.CheckpointBytes || l.ending.Load()
}
