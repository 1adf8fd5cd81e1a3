package commitlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/broker/internal/journal"
)

// A checkpoint bounds recovery and gives journal files back. What it leaves behind is one state: that of the last entry in the
// journal files before the one that is begun with it.
//
//	prepare the next journal file
//	lock the machines, close the gate: rotate the journal, copy the state in memory, open the gate     no I/O
//	wait until the journal is durable up to there
//	write the tails up to there into segments; sync segments, index files, directories
//	write the snapshot, sync, rename, sync directory                                                    the checkpoint counts
//	give back older journal files, remove the files of deleted topics and of purged segments
//
// A crash before the rename leaves the old snapshot with all journal files that it needs.

// checkpointer is the goroutine that writes checkpoints. It ends with the log.
func (l *Log) checkpointer() {
	for {
		select {
		case <-l.quit:
			return
		case <-l.Stopped():
			l.stopped()
			return
		case <-l.checkC:
		}
		if err := l.checkpoint(false); err != nil {
			l.fail(fmt.Errorf("checkpoint: %w", err))
		}
	}
}

func (l *Log) kickCheckpoint() {
	select {
	case l.checkC <- struct{}{}:
	default:
	}
}

// capture is the copy of the state that a checkpoint makes while the gate is closed.
type capture struct {
	lsn      LSN
	epoch    uint64 // of the journal file with the entries after lsn
	clean    bool   // there are none, and nobody will write any before the next Open
	topics   []*topicVersion
	parts    []capturedPartition
	machines []capturedMachine
	deleted  []*topic // not part of the state any more
}

type capturedPartition struct {
	p     *Partition
	start int64
	end   int64
	state []byte // all but the segments
}

type capturedMachine struct {
	id      MachineID
	records int
	data    []byte
}

// checkpoint writes one. clean says that the log is closed.
func (l *Log) checkpoint(clean bool) error {
	began := time.Now()
	l.flushMu.Lock() // nobody else writes segments, so that they end where the state ends
	defer l.flushMu.Unlock()
	c, _, err := l.checkpointLocked(clean)
	if err != nil {
		return err
	}
	l.cfg.Logger.Debug("checkpoint", "dir", l.cfg.Dir, "lsn", uint64(c.lsn), "took", time.Since(began))
	return nil
}

// checkpointLocked writes a checkpoint, and returns what is in its snapshot. It needs flushMu.
func (l *Log) checkpointLocked(clean bool) (c *capture, state []byte, err error) {
	if err := l.journal.Prepare(l.epoch + 1); err != nil {
		return nil, nil, err
	}
	if c, err = l.capture(); err != nil {
		return nil, nil, err
	}
	l.epoch, c.epoch, c.clean = l.epoch+1, l.epoch+1, clean
	if err := l.journal.Wait(context.Background(), c.lsn); err != nil { // ends: the committer fails or goes on
		return nil, nil, err
	}
	state, err = l.finish(c)
	return c, state, err
}

// finish makes a captured state durable, and then lets go of what was needed without it. It returns the body of the snapshot, without
// its header. It needs flushMu.
func (l *Log) finish(c *capture) (state []byte, err error) {
	if state, err = l.flushCaptured(c); err != nil {
		return nil, err
	}
	body := append(c.appendHeader(nil, l.owner), state...)
	if err := writeWhole(l.cfg.FS, l.cfg.Dir, snapshotName, encodeSnapshot(body)); err != nil {
		return nil, err
	}
	if err := l.journal.Release(c.epoch); err != nil {
		return nil, err
	}
	l.space.wake()
	if len(l.backups) > 0 { // they may be copying what no snapshot needs any more: a later checkpoint removes it
		l.catalog.mu.Lock()
		l.deleted = append(l.deleted, c.deleted...)
		l.catalog.mu.Unlock()
		return state, nil
	}
	l.removeDeleted(c.deleted)
	for _, x := range c.parts {
		x.p.removeDead()
	}
	l.deadBytes = 0
	return state, nil
}

// capture copies the state, with the journal switched to the next file at that very entry.
func (l *Log) capture() (*capture, error) {
	for _, id := range l.machineIDs {
		l.machines[id].Lock()
		defer l.machines[id].Unlock()
	}
	l.gate.Lock()
	defer l.gate.Unlock()
	c := &capture{}
	var err error
	if c.lsn, err = l.journal.Rotate(); err != nil {
		return nil, err
	}
	return c, l.copyState(c)
}

// copyState fills c. Nobody changes anything meanwhile.
func (l *Log) copyState(c *capture) error {
	c.deleted, l.deleted = l.deleted, nil
	for _, t := range l.catalog.topics() {
		c.topics = append(c.topics, t.now())
	}
	for _, t := range c.topics {
		for _, p := range t.partitions {
			p.mu.Lock()
			c.parts = append(c.parts, capturedPartition{p: p, start: p.mu.logStart, end: p.mu.end, state: p.appendStateLocked(nil)})
			p.mu.Unlock()
		}
	}
	for _, id := range l.machineIDs {
		m := capturedMachine{id: id}
		err := l.machines[id].Snapshot(func(record []byte) error {
			m.data = appendBytes(m.data, record)
			m.records++
			return nil
		})
		if err != nil {
			return fmt.Errorf("snapshot of machine %d: %w", id, err)
		}
		c.machines = append(c.machines, m)
	}
	return nil
}

// flushCaptured brings the segments of all captured partitions to the captured ends, syncs them, and returns the body of the
// snapshot, without its header.
func (l *Log) flushCaptured(c *capture) ([]byte, error) {
	var b []byte
	next := 0
	for _, t := range c.topics {
		b = appendTopic(b, &t.Topic)
		for range t.partitions {
			x := c.parts[next]
			next++
			if err := x.p.purge(x.start); err != nil {
				return nil, err
			}
			if err := x.p.flush(x.end); err != nil {
				return nil, err
			}
			b = append(b, x.state...)
			x.p.mu.Lock()
			b = x.p.appendSegmentsLocked(b)
			x.p.mu.Unlock()
		}
	}
	b = binary.AppendUvarint(b, uint64(len(c.machines)))
	for _, m := range c.machines {
		b = append(b, byte(m.id))
		b = binary.AppendUvarint(b, uint64(m.records))
		b = append(b, m.data...)
	}
	for _, x := range c.parts {
		if err := x.p.syncAll(); err != nil {
			return nil, err
		}
	}
	if l.dirtyTopicsDir {
		if err := journal.SyncDir(l.cfg.FS, l.topicsDir); err != nil {
			return nil, err
		}
		l.dirtyTopicsDir = false
	}
	return b, nil
}

// removeDeleted frees what deleted topics held, now that no snapshot and no journal file has them. Files that cannot be
// removed, as on Windows while somebody reads, are removed by the next Open.
func (l *Log) removeDeleted(topics []*topic) {
	for _, t := range topics {
		for _, p := range t.now().partitions {
			if err := p.remove(); err != nil {
				l.cfg.Logger.Warn("commit log: files of a deleted topic stay until the next start",
					"topic", t.Name, "partition", p.index, "err", err)
			}
		}
	}
}

// remove gives back the memory and the files of a deleted partition. It needs flushMu.
func (p *Partition) remove() error {
	for _, s := range p.dirtySegments {
		if err := s.dirty.release(); err != nil {
			return err
		}
	}
	p.dirtySegments = nil
	p.mu.Lock()
	segments, bytes := slices.Concat(p.deadSegments, p.mu.segments), p.mu.tail.bytes
	p.mu.segments, p.mu.tail, p.mu.tailAborted, p.mu.producers = nil, tail{}, nil, nil
	p.mu.Unlock()
	p.deadSegments = nil
	p.log.tailBytes.Add(-bytes)
	for _, s := range segments {
		if err := p.log.files.forget(s.path); err != nil {
			return fmt.Errorf("close segment %s: %w", s.path, err)
		}
	}
	if !p.hasDir {
		return nil
	}
	p.hasDir, p.dirtyDir = false, false
	if err := p.log.cfg.FS.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("remove directory of deleted partition: %w", err)
	}
	return nil
}
