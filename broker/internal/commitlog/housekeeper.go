package commitlog

import (
	"errors"
	"time"
)

// housekeeper is the goroutine that does what time asks for: retention, and forgetting idle producers. It ends with the log.
func (l *Log) housekeeper() {
	ticker := time.NewTicker(l.cfg.RetentionInterval)
	defer ticker.Stop()
	for {
		select {
		case <-l.quit:
			return
		case <-l.Stopped():
			return
		case <-ticker.C:
		}
		if err := l.keepHouse(); err != nil {
			if !errors.Is(err, ErrStopped) && !errors.Is(err, ErrClosed) {
				l.fail(err)
			}
			return
		}
	}
}

// keepHouse does what is due, and has a checkpoint give disk space back if there is any to give.
func (l *Log) keepHouse() error {
	if err := l.expireProducers(); err != nil {
		return err
	}
	moved, err := l.retain()
	if err != nil {
		return err
	}
	if moved > 0 {
		l.cfg.Logger.Debug("commit log: retention", "dir", l.cfg.Dir, "partitions", moved)
	}
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.reclaim(1)
	return nil
}

// expireProducers forgets producers that were idle for long. It is decided here, by the clock, and stands in the journal.
func (l *Log) expireProducers() error {
	const most = 10_000 // in one entry
	before := l.now() - l.cfg.ProducerExpiry.Milliseconds()
	for _, p := range l.catalog.partitions() {
		done, err := l.enter()
		if err != nil {
			return err
		}
		p.mu.Lock()
		ids := p.mu.producers.idle(before, most)
		if len(ids) > 0 && !p.mu.deleted {
			e := entry{expire: &expireChange{TopicPartition: p.name(), producers: ids}}
			_, err = l.commitLocked(&e, []*Partition{p})
		}
		p.mu.Unlock()
		done()
		if err != nil {
			return err
		}
	}
	return nil
}
