package journal

import "time"

// commit is the committer goroutine: take everything pending, write it in groups, sync once, tell.
func (j *Journal) commit() {
	var taken pending
	var buf []byte
	for {
		rotate, ok := j.take(&taken)
		if !ok {
			return
		}
		var err error
		if len(taken.entries) > 0 {
			buf, err = j.writeRound(&taken, buf)
		}
		switch {
		case err == nil && rotate:
			err = j.switchFile()
		case err == nil && j.idle():
			err = j.vouch()
		}
		if err != nil {
			j.Fail(err)
			return
		}
		if cap(buf) > 2*maxGroupBytes {
			buf = nil
		}
	}
}

// take waits for work and moves what is pending into taken. With a rotation under way it takes what belongs before it, and
// says so when that is all. ok is false when the journal has failed, or is closing and nothing is left.
func (j *Journal) take(taken *pending) (rotate, ok bool) {
	taken.reset()
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.mu.pending.entries) == 0 && !j.mu.rotating && !j.mu.closing && j.mu.err == nil {
		j.work.Wait()
	}
	if j.mu.err != nil || len(j.mu.pending.entries) == 0 && !j.mu.rotating {
		return false, false
	}
	if j.mu.rotating && (len(j.mu.pending.entries) == 0 || j.mu.pending.first > j.mu.boundary) {
		return true, true
	}
	*taken, j.mu.pending = j.mu.pending, *taken
	if j.mu.rotating {
		j.returnLocked(taken)
	}
	return j.mu.rotating, true
}

// returnLocked gives back to pending what was taken but lies behind the boundary.
func (j *Journal) returnLocked(taken *pending) {
	keep := int(j.mu.boundary - taken.first + 1)
	for i := keep; i < len(taken.entries); i++ {
		e := &taken.entries[i]
		j.mu.pending.add(taken.first+LSN(i), &Entry{head: taken.head(i), body: e.body, crc: e.crc})
	}
	clear(taken.entries[keep:])
	taken.entries = taken.entries[:keep]
}

// writeRound makes the entries of p durable. Group headers vouch only for what is synced (J2), so with Async they keep naming
// the last rotation.
func (j *Journal) writeRound(p *pending, buf []byte) ([]byte, error) {
	for i := 0; i < len(p.entries); {
		buf, i = p.appendGroup(buf[:0], i, j.file.epoch, j.file.synced)
		if err := j.file.write(buf); err != nil {
			return buf, err
		}
		j.stats.bytes.Add(int64(len(buf)))
	}
	last := p.first + LSN(len(p.entries)) - 1
	if !j.cfg.Async {
		began := time.Now()
		if err := j.file.sync(); err != nil {
			return buf, err
		}
		j.stats.syncNanos.Add(int64(time.Since(began)))
		j.stats.syncs.Add(1)
		j.file.synced = last
	}
	j.stats.entries.Add(int64(len(p.entries)))
	j.written.Store(j.file.size)
	j.publish(last)
	return buf, nil
}

func (j *Journal) idle() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.mu.pending.entries) == 0
}

// vouch writes an empty group after the last one when no other follows at once, so that the last one is vouched for too and
// damage to it is told from a torn write (J5). It need not be synced: it is right whenever it gets to the disk.
func (j *Journal) vouch() error {
	if j.cfg.Async {
		return nil
	}
	b := make([]byte, groupSize)
	h := groupHeader{epoch: j.file.epoch, first: j.file.synced + 1, durable: j.file.synced}
	h.put(b)
	return j.file.write(b)
}

// publish moves the durable LSN. The owner is told first: whoever is woken finds what the owner shows moved already.
func (j *Journal) publish(lsn LSN) {
	if j.cfg.Durable != nil {
		j.cfg.Durable(lsn)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.durable.Store(uint64(lsn))
	j.wakeLocked()
}

// switchFile goes on in the prepared file, once all in the present one is synced (J3).
func (j *Journal) switchFile() error {
	if j.cfg.Async {
		if err := j.file.sync(); err != nil {
			return err
		}
	}
	j.mu.Lock()
	next := j.mu.next
	j.mu.Unlock()
	next.synced = j.Durable()
	old := j.file
	j.file = next
	j.written.Store(next.size)
	err := old.close()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.next, j.mu.rotating = nil, false
	j.wakeLocked()
	return err
}
