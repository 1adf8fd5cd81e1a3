package state

import "fmt"

// Estimator is implemented by engines that can tell about how many entries a range has without reading them.
type Estimator interface {
	// Estimate returns about how many entries there are with lo <= key < hi. What was applied since the last Sync need not count.
	Estimate(lo, hi []byte) (int64, error)
}

// ApproximateNumEntries returns about how many entries the store partition has (S-01), this transaction's writes included. It is exact
// unless the store is too large to be in memory and its engine is an Estimator, as Pebble is: then the number that is there when it is first
// asked for is an estimate, and what is written later is counted exactly. The first call reads what is in memory, or waits for DB.Sync; the time of
// others grows with the number of writes that have not been flushed.
func (s *KeyValue[K, V]) ApproximateNumEntries() (int64, error) { return s.t.count() }

func (t *transaction[V]) count() (int64, error) {
	n, err := t.below.count()
	if err != nil {
		return 0, fmt.Errorf("store %s: count entries: %w", t.below.id, err)
	}
	n += t.grown
	for i, s := range t.writes[t.flushed:] {
		if it := t.table.At(s); int(it.last) == t.flushed+i+1 {
			n += it.growth()
		}
	}
	return max(n, 0), nil // of an estimate that was too low
}

// growth returns how many entries more the committed layer will have for a write.
func (it *item[V]) growth() int64 {
	switch it.flags & (flagPresent | flagBelow) {
	case flagPresent:
		return 1
	case flagBelow:
		return -1
	}
	return 0
}

// count returns about how many entries are committed, of a partition without buckets. It is for the goroutine that commits.
func (p *Partition) count() (int64, error) {
	if p.entries.known {
		return p.entries.n, nil
	}
	n, err := p.countAnew()
	p.entries.n, p.entries.known = n, err == nil
	return n, err
}

func (p *Partition) countAnew() (int64, error) {
	complete, err := p.fits()
	if err != nil {
		return 0, err
	}
	if e, ok := p.db.engine.(Estimator); ok && !complete {
		if err := p.db.Sync(); err != nil {
			return 0, err
		}
		return e.Estimate(p.engineRange(0))
	}
	c, err := p.scan(span{}, false)
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for c.next() {
		n++
	}
	return n, c.close()
}

// fits reports whether memory holds all entries, and sees to it if they are few.
func (p *Partition) fits() (bool, error) {
	p.mu.Lock()
	b, closed := p.mu.buckets[0], p.mu.closed
	tried := closed || b.loaded || b.complete
	p.mu.Unlock()
	if closed {
		return false, ErrClosed
	}
	if !tried {
		if err := p.load(b, 0); err != nil {
			return false, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return b.complete, nil
}
