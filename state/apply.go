package state

import (
	"fmt"
	"time"
)

// committed tells that bytes were committed to a partition, and holds the caller back while the engine is too far
// behind. No lock is held.
func (db *DB) committed(bytes int64) error {
	waiting := db.waiting.Add(bytes)
	db.commits.Add(1)
	if db.conf.Inline {
		if waiting < db.conf.ApplyBytes {
			return db.failure()
		}
		db.apply.Lock()
		defer db.apply.Unlock()
		return db.applyLocked()
	}
	signal(db.kick)
	if waiting >= db.conf.ApplyBytes {
		signal(db.full)
	}

	db.mu.Lock()
	defer db.mu.Unlock()
	db.startLocked()
	for db.waiting.Load() > 2*db.conf.ApplyBytes && db.mu.err == nil && !db.mu.closed {
		db.mu.caughtUp.Wait()
	}
	return db.mu.err
}

// stir tells that something waits for the engine which was not committed. It does not wait.
func (db *DB) stir() {
	if db.conf.Inline {
		return
	}
	signal(db.kick)
	db.mu.Lock()
	defer db.mu.Unlock()
	db.startLocked()
}

func (db *DB) startLocked() {
	if !db.mu.started && !db.mu.closed {
		db.mu.started = true
		db.done.Go(db.writeBehind)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// failure returns the engine's error, if there was one.
func (db *DB) failure() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.mu.err
}

// fail keeps the first error of the engine: what it holds then is some committed state, and nothing is added to it.
func (db *DB) fail(err error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.mu.err == nil {
		db.mu.err = err
	}
	db.mu.caughtUp.Broadcast()
	return db.mu.err
}

// writeBehind is the DB's goroutine: it applies what is committed when enough of it waits, when it has waited long enough,
// or when commits have paused.
func (db *DB) writeBehind() {
	for {
		select {
		case <-db.stop:
			return
		case <-db.kick:
		}
		if !db.due() {
			return
		}
		if err := db.applyBehind(); err != nil {
			db.conf.Logger.Error("state cannot be written, stores stop", "err", err)
			return
		}
	}
}

// due returns when it is time to apply; false means to stop.
func (db *DB) due() bool {
	deadline := time.Now().Add(db.conf.ApplyInterval)
	for {
		seen := db.commits.Load()
		timer := time.NewTimer(min(db.conf.ApplyIdle, time.Until(deadline)))
		select {
		case <-db.stop:
			timer.Stop()
			return false
		case <-db.full:
			timer.Stop()
			return true
		case now := <-timer.C:
			if db.commits.Load() == seen || !now.Before(deadline) {
				return true
			}
		}
	}
}

func (db *DB) applyBehind() error {
	db.apply.Lock()
	defer db.apply.Unlock()
	if err := db.applyLocked(); err != nil {
		return err
	}
	if time.Since(db.apply.synced) < db.conf.SyncInterval {
		return nil
	}
	return db.syncLocked()
}

// applyLocked gives the engine everything that is committed, of all partitions, in one batch: data and positions.
func (db *DB) applyLocked() error {
	if err := db.failure(); err != nil {
		return err
	}
	var b Batch
	var runs []*run
	for _, p := range db.openPartitions() {
		r := p.seal()
		if r == nil {
			continue
		}
		runs = append(runs, r)
		b.from(r.write)
	}
	if len(runs) == 0 {
		db.tellCaughtUp() // what waited may have been reset or removed
		return nil
	}
	done, err := db.applyApart(runs)
	if !done {
		err = db.engine.Apply(&b)
	}
	if err != nil {
		return db.fail(fmt.Errorf("apply committed state: %w", err))
	}
	for _, r := range runs {
		db.waiting.Add(-r.log.Bytes())
		r.p.applied(r)
	}
	db.tellCaughtUp()
	return nil
}

func (db *DB) tellCaughtUp() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.mu.caughtUp.Broadcast()
}
