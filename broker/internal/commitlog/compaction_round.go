package commitlog

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/batch"
	"github.com/millrace-io/millrace/broker/internal/compact"
)

// compact runs a round, and returns what its segments held before and after. It is called by the compactor only.
func (p *Partition) compact(r compact.Round) (before, after int64, err error) {
	p.mu.Lock()
	if p.mu.deleted || len(p.mu.segments) < r.Segments {
		p.mu.Unlock()
		return 0, 0, ErrUnknownTopic // or retention was faster, and the next round knows
	}
	sources := slices.Clone(p.mu.segments[:r.Segments])
	p.mu.Unlock()
	end := sources[len(sources)-1].next // closed: does not change
	aborted, err := p.abortedTxns(sources[0].base, end)
	if err != nil {
		return 0, 0, p.compactionError(sources[0], err)
	}
	keys, err := p.scanKeys(sources, aborted, r.Dirty)
	if err != nil {
		return 0, 0, err
	}
	n := 0 // a round with a full table of keys goes no further than it needs to
	for n < len(sources) && sources[n].base <= keys.Latest {
		before += sources[n].size
		n++
	}
	sources = sources[:n]
	if n == 0 {
		return 0, 0, fmt.Errorf("compaction of %s-%d: no segment up to offset %d", p.topic.Name, p.index, keys.Latest)
	}
	out := &compacted{p: p, limits: p.segmentLimits(), base: sources[0].base, next: sources[n-1].next}
	for _, s := range sources {
		out.generation = max(out.generation, s.generation+1)
	}
	err = p.filter(sources, aborted, keys, out)
	if err == nil {
		err = out.finish()
	}
	if err == nil {
		err = p.install(sources, out.segments, min(keys.Latest+1, out.next))
	}
	if err != nil {
		return 0, 0, p.compactionError(sources[0], errors.Join(err, out.discard()))
	}
	for _, s := range out.segments {
		after += s.size
	}
	return before, after, nil
}

// abortedTxns returns the aborted transactions with data or markers in [from, to).
func (p *Partition) abortedTxns(from, to int64) ([]compact.Aborted, error) {
	all, err := p.abortedIn(from, to)
	if err != nil {
		return nil, err
	}
	out := make([]compact.Aborted, len(all))
	for i, a := range all {
		out[i] = compact.Aborted{Producer: a.producer, First: a.first, Last: a.last}
	}
	return out, nil
}

// scanKeys reads the dirty part.
func (p *Partition) scanKeys(sources []*segment, aborted []compact.Aborted, dirty int64) (*compact.Keys, error) {
	records := sources[len(sources)-1].next - dirty // at most
	keys := compact.NewKeys(records, p.log.cfg.CompactionBytes)
	scan := compact.NewScan(keys, aborted, dirty)
	full := false
	for _, s := range sources {
		if s.next <= dirty || full {
			continue
		}
		err := p.eachBatch(s, func(raw []byte, h *batch.Header, _ bool) error {
			if full = full || !scan.Batch(raw, h); full {
				return errStopWalk
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// filter writes what stays of the sources.
func (p *Partition) filter(sources []*segment, aborted []compact.Aborted, keys *compact.Keys, out *compacted) error {
	f := compact.Filter{Keys: keys, Now: p.log.now(), DeleteRetention: p.topic.now().config.deleteRetention, Active: p.lastBatches()}
	f.Begin(aborted)
	for i, s := range sources {
		err := p.eachBatch(s, func(raw []byte, h *batch.Header, last bool) error {
			kept, err := f.Batch(raw, h, last && i == len(sources)-1)
			if err != nil || kept.Raw == nil {
				return err
			}
			if err := out.add(kept.Raw); err != nil {
				return err
			}
			if a := kept.Aborted; a != nil {
				out.addAborted(abortedTxn{producer: a.Producer, first: a.First, last: a.Last})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// errStopWalk ends eachBatch without an error.
var errStopWalk = errors.New("enough")

// eachBatch calls visit for each batch of a closed segment, whose checksum it has verified. raw is valid during the call.
func (p *Partition) eachBatch(s *segment, visit func(raw []byte, h *batch.Header, last bool) error) error {
	var buf []byte
	err := p.scanSegment(s, func(f *openFile, h *batch.Header, at int64) error {
		select {
		case <-p.log.quit:
			return errInterrupted
		default:
		}
		var err error
		if buf, err = f.readAt(buf, at, h.Size()); err != nil {
			return err
		}
		if err := batch.Verify(buf, h); err != nil {
			return corruptSegment(f.path, at, err)
		}
		return visit(buf, h, at+int64(h.Size()) == s.size)
	})
	if errors.Is(err, errStopWalk) {
		return nil
	}
	if err != nil {
		return p.compactionError(s, err)
	}
	return nil
}

// compactionError tells a fault from a topic that was deleted, or a segment that was purged, under the compactor.
func (p *Partition) compactionError(s *segment, err error) error {
	p.mu.Lock()
	gone := p.mu.deleted || !slices.Contains(p.mu.segments, s)
	p.mu.Unlock()
	if gone && !errors.Is(err, errInterrupted) {
		return ErrUnknownTopic
	}
	return err
}

// install replaces segments by what they were compacted to. Those that retention has removed meanwhile were the first ones. An error
// means that nothing was replaced.
func (p *Partition) install(sources, made []*segment, cleaned int64) error {
	l := p.log
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	p.mu.Lock()
	if p.mu.deleted {
		p.mu.Unlock()
		return ErrUnknownTopic
	}
	n := 0
	for n < len(p.mu.segments) && slices.Contains(sources, p.mu.segments[n]) {
		n++
	}
	dead := slices.Clone(p.mu.segments[:n])
	p.mu.segments = slices.Concat(made, p.mu.segments[n:])
	p.mu.cleaned = max(p.mu.cleaned, cleaned)
	p.mu.replaced++
	start := p.mu.durableStart
	p.mu.Unlock()
	if err := errors.Join(p.bury(dead), p.purge(start)); err != nil {
		l.fail(err)
	}
	l.reclaim(1)
	return nil
}
