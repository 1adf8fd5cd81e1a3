package journal

import "fmt"

// Prepare makes the file that the next Rotate goes on in, so that Rotate itself does no I/O. It does nothing if there is one.
func (j *Journal) Prepare(epoch uint64) error {
	j.mu.Lock()
	ready := j.next != nil
	j.mu.Unlock()
	if ready {
		return nil
	}
	f, err := j.newFile(epoch)
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.next = f
	j.mu.Unlock()
	return nil
}

// Rotate makes the prepared file the one that entries after the returned LSN go to. Everything up to the LSN is durable
// before the first of them is written.
func (j *Journal) Rotate() (LSN, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.mu.err != nil {
		return 0, j.mu.err
	}
	if j.mu.closing {
		return 0, ErrClosed
	}
	j.mu.boundary = j.Enqueued()
	j.mu.rotating = true
	j.work.Signal()
	return j.mu.boundary, nil
}

// Release gives up the files of epochs below epoch: one is kept as a spare, the others are removed.
func (j *Journal) Release(epoch uint64) error {
	names, err := List(j.cfg.FS, j.cfg.Dir)
	if err != nil {
		return err
	}
	j.spares = j.spares[:0]
	for _, f := range names {
		if f.Epoch >= epoch {
			continue
		}
		if len(j.spares) == 0 {
			j.spares = append(j.spares, f.Name)
			continue
		}
		if err := j.cfg.FS.Remove(j.cfg.FS.PathJoin(j.cfg.Dir, f.Name)); err != nil {
			return fmt.Errorf("remove journal file: %w", err)
		}
	}
	return nil
}
