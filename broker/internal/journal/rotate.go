package journal

import (
	"errors"
	"fmt"
)

// Prepare makes the file of an epoch that the next Rotate goes on in, so that Rotate itself does no I/O. It waits for the last
// rotation to be over, and does nothing if the file is there from an earlier call.
func (j *Journal) Prepare(epoch uint64) error {
	next, err := j.settle()
	if err != nil {
		return err
	}
	if next != nil && next.epoch == epoch {
		return nil
	}
	if next != nil {
		return fmt.Errorf("journal file of epoch %d is prepared, not of %d", next.epoch, epoch)
	}
	f, err := j.newFile(epoch)
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.mu.next = f
	j.mu.Unlock()
	return nil
}

// settle waits until no rotation is under way, and returns the file that is prepared for the next one.
func (j *Journal) settle() (next *file, err error) {
	for {
		j.mu.Lock()
		rotating, next, moved, err := j.mu.rotating, j.mu.next, j.mu.moved, j.mu.err
		j.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if !rotating {
			return next, nil
		}
		<-moved // the committer goes on, or fails
	}
}

// Rotate makes the prepared file the one that entries after the returned LSN go to. Everything up to the LSN is durable
// before the first of them is written.
func (j *Journal) Rotate() (LSN, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.mu.err != nil:
		return 0, j.mu.err
	case j.mu.closing:
		return 0, ErrClosed
	case j.mu.rotating || j.mu.next == nil:
		return 0, errors.New("journal rotation without a prepared file")
	}
	j.mu.boundary = j.Enqueued()
	j.mu.rotating = true
	j.work.Signal()
	return j.mu.boundary, nil
}

// Release gives up the files of epochs below epoch, which the journal has rotated to: one is kept as a spare, the others are
// removed.
func (j *Journal) Release(epoch uint64) error {
	if _, err := j.settle(); err != nil {
		return err
	}
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
