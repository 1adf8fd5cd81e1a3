package commitlog

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Report is what VerifyDir has found in a sound directory.
type Report struct {
	ClusterID  string
	Clean      bool // it was closed in order: the journal has nothing to add
	Topics     int
	Partitions int
	Segments   int
	Bytes      int64 // of segments
	LSN        LSN   // of the last entry that counts
	Replayed   int64 // entries of the journal that the snapshot does not have
	// Torn is a write that a crash cut off, and that was never acknowledged. Empty: none.
	Torn string
}

// VerifyDir checks a directory that nobody has open, and changes nothing in it: the snapshot, every entry of the journal, which must fit
// the state, and then what Verify checks. The error joins all that is wrong with segments; before them, the first fault ends it. It
// wraps ErrLocked if the directory is in use, and a *CorruptionError where data is damaged. machines are as in Open.
func VerifyDir(ctx context.Context, cfg Config, machines map[MachineID]Machine) (Report, error) {
	cfg = cfg.withDefaults()
	cfg.TailBytes = math.MaxInt64 // what the journal adds stays in memory
	if err := cfg.validate(); err != nil {
		return Report{}, fmt.Errorf("commit log config: %w", err)
	}
	l := newLog(cfg, machines)
	if _, err := cfg.FS.Stat(cfg.FS.PathJoin(cfg.Dir, snapshotName)); err != nil {
		return Report{}, fmt.Errorf("%s is no data directory: %w", cfg.Dir, err)
	}
	lock, err := lockDir(&cfg)
	if err != nil {
		return Report{}, err
	}
	r, err := l.verifyDir(ctx)
	return r, errors.Join(err, l.files.close(), lock.Close())
}

func (l *Log) verifyDir(ctx context.Context) (r Report, err error) {
	start, _, err := l.readSnapshot()
	if err != nil {
		return r, err
	}
	r.ClusterID, r.Clean, r.LSN = l.ClusterID(), start.clean, start.lsn
	for _, p := range l.catalog.partitions() {
		if err := p.checkFiles(); err != nil {
			return r, err
		}
	}
	if !start.clean {
		found, err := l.replay(ctx, start)
		if err != nil {
			return r, err
		}
		r.LSN, r.Replayed, r.Torn = found.Last, found.Entries, found.Torn
	}
	r.Topics = len(l.catalog.topics())
	for _, p := range l.catalog.partitions() {
		r.Partitions++
		for _, s := range p.mu.segments {
			r.Segments++
			r.Bytes += s.size
		}
	}
	return r, l.Verify(ctx)
}

// checkFiles finds the files that the snapshot names, at least as large as it says.
func (p *Partition) checkFiles() error {
	for _, s := range p.mu.segments {
		info, err := p.log.cfg.FS.Stat(s.path)
		if err != nil {
			return corruptSegment(s.path, 0, err)
		}
		if info.Size() < s.size {
			return corruptSegment(s.path, info.Size(), fmt.Errorf("the file ends, but had %d bytes", s.size))
		}
	}
	return nil
}
