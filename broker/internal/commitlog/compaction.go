package commitlog

import (
	"errors"
	"slices"
	"time"

	"github.com/millrace-io/millrace/broker/internal/batch"
	"github.com/millrace-io/millrace/broker/internal/compact"
)

// Compaction makes the closed segments of a compacted topic's partition anew, beside serving, without what package compact says may go.
//
//	read the dirty segments: the last offset of each key                     no lock
//	read all, write what stays into files of the next generation, sync them  no lock
//	replace the segments in memory                                           flushMu, the partition's lock
//	checkpoint: the snapshot names the new files, the old ones are removed
//
// It is no entry of the journal, as writing segments is none: what a segment holds matters to readers only, and apply never looks. What
// was decided by the clock, the delete horizons, stands in the new batches. A crash before the snapshot leaves the old segments, which
// the old snapshot names, and the round is run again.

// errInterrupted ends a round because the log closes.
var errInterrupted = errors.New("compaction interrupted")

// compactor is the goroutine that compacts, one partition at a time. It ends with the log.
func (l *Log) compactor() {
	ticker := time.NewTicker(l.cfg.CompactionInterval)
	defer ticker.Stop()
	for {
		select {
		case <-l.quit:
			return
		case <-l.Stopped():
			return
		case <-ticker.C:
		}
		for l.compactDirtiest() {
		}
	}
}

// due is a partition with a round to run.
type due struct {
	p     *Partition
	round compact.Round
}

// compactDirtiest runs a round of the partition that needs it most, and reports whether there was one.
func (l *Log) compactDirtiest() bool {
	var all []due
	for _, p := range l.catalog.partitions() {
		if r, ok := p.dueRound(l.now()); ok {
			all = append(all, due{p, r})
		}
	}
	if len(all) == 0 || l.ending.Load() || l.room.full.Load() {
		return false
	}
	slices.SortStableFunc(all, func(a, b due) int {
		switch {
		case a.round.Before(b.round):
			return -1
		case b.round.Before(a.round):
			return 1
		}
		return 0
	})
	d := all[0]
	began := time.Now()
	before, after, err := d.p.compact(d.round)
	switch {
	case errors.Is(err, errInterrupted) || errors.Is(err, ErrUnknownTopic):
		return !l.ending.Load()
	case err != nil:
		d.p.uncompactable.Store(true)
		l.cfg.Logger.Error("commit log: a partition is not compacted any more until the next start; it is served as it is",
			"topic", d.p.topic.Name, "partition", d.p.index, "err", err)
		return true
	}
	l.cfg.Logger.Info("commit log: compacted", "topic", d.p.topic.Name, "partition", d.p.index,
		"segments", d.round.Segments, "bytes_before", before, "bytes_after", after, "took", time.Since(began))
	return true
}

// dueRound returns the round that the partition needs by now.
func (p *Partition) dueRound(now int64) (compact.Round, bool) {
	c := &p.topic.now().config
	if !c.compacted || p.uncompactable.Load() {
		return compact.Round{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.deleted || len(p.mu.segments) < 2 {
		return compact.Round{}, false
	}
	closed := make([]compact.Segment, 0, len(p.mu.segments)-1)
	for _, s := range p.mu.segments {
		if s.sealed {
			closed = append(closed, compact.Segment{Base: s.base, Next: s.next, Bytes: s.size, FirstTime: s.firstTime, MaxTime: s.maxTime})
		}
	}
	return compact.Plan(closed, max(p.mu.cleaned, p.mu.logStart), p.offsetsLocked().LastStable, now,
		compact.Policy{MinLag: c.minCompactionLag, MaxLag: c.maxCompactionLag, MinDirtyRatio: c.minDirtyRatio})
}

// lastBatches returns where the last batch of each producer is: the base offset, or -1 and the epoch if only a marker is known.
func (p *Partition) lastBatches() func(*batch.Header) bool {
	type last struct {
		base  int64
		epoch int16
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known := make(map[int64]last, len(p.mu.producers))
	for id, s := range p.mu.producers {
		x := last{base: -1, epoch: s.epoch}
		if s.n > 0 {
			x.base = s.batches[s.n-1].baseOffset
		}
		known[id] = x
	}
	return func(h *batch.Header) bool {
		x, ok := known[h.ProducerID]
		if !ok {
			return false
		}
		if x.base >= 0 {
			return h.BaseOffset == x.base
		}
		return h.Attributes.Control() && h.ProducerEpoch == x.epoch
	}
}
