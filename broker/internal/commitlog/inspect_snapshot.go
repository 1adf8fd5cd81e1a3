package commitlog

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/broker/internal/inspect"
)

// listing is a machine that keeps the records of a snapshot as they are.
type listing struct {
	sync.Mutex
	records [][]byte
}

func (m *listing) Replay(record []byte) error {
	m.records = append(m.records, record)
	return nil
}

// Snapshot is not called: nothing is written.
func (m *listing) Snapshot(func([]byte) error) error { return nil }

// snapshot tells of a snapshot: what it is of, the topics with their partitions, the machines' records.
func (x *Inspector) snapshot(path string) error {
	b, err := readWhole(x.FS, path)
	if err != nil {
		return err
	}
	version, body, err := snapshotBody(b)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	machines := map[MachineID]Machine{}
	for id := range 256 {
		machines[MachineID(id)] = &listing{}
	}
	l := newLog(Config{FS: x.FS, Dir: x.FS.PathDir(path), Logger: slog.New(slog.DiscardHandler)}, machines)
	h, err := l.loadSnapshot(version, body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	l.owner = h.owner
	if err := x.Emit(inspect.New("snapshot", "version", string(version), "cluster", l.ClusterID(), "clean", h.clean, "epoch", h.epoch, "lsn", uint64(h.lsn))); err != nil {
		return err
	}
	for _, t := range l.catalog.topics() {
		if err := x.Emit(inspect.New("topic", topicFields(&t.now().Topic)...)); err != nil {
			return err
		}
		for _, p := range t.now().partitions {
			if err := x.partition(p); err != nil {
				return err
			}
		}
	}
	for _, id := range l.machineIDs {
		for _, r := range machines[id].(*listing).records {
			if err := x.Emit(x.record(id, r)); err != nil {
				return err
			}
		}
	}
	return nil
}

// partition tells of a partition in a snapshot. Nobody else has it.
func (x *Inspector) partition(p *Partition) error {
	items := []inspect.Item{inspect.New("partition", "topic", p.topic.Name, "partition", p.index,
		"logStart", p.mu.logStart, "end", p.mu.end, "compacted", p.mu.cleaned)}
	for _, e := range p.mu.epochs {
		items = append(items, inspect.New("leaderEpoch", "epoch", e.epoch, "startOffset", e.offset))
	}
	for _, id := range slices.Sorted(maps.Keys(p.mu.producers)) {
		items = append(items, p.mu.producers[id].describe(id))
	}
	for _, t := range p.mu.unstable {
		items = append(items, inspect.New("openTransaction", "producerId", t.producer, "firstOffset", t.first))
	}
	for _, it := range items {
		if err := x.Emit(it); err != nil {
			return err
		}
	}
	for _, s := range p.mu.segments {
		it := inspect.New("segment", "file", p.log.cfg.FS.PathBase(s.path), "baseOffset", s.base, "nextOffset", s.next, "size", s.size,
			"maxTime", s.maxTime, "generation", s.generation, "sealed", s.sealed)
		if err := x.Emit(it); err != nil {
			return err
		}
		if s.index == nil {
			continue
		}
		if err := x.indexEntries(s.index); err != nil {
			return err
		}
	}
	return nil
}

func (s *producer) describe(id int64) inspect.Item {
	it := inspect.New("producer", "producerId", id, "epoch", s.epoch, "lastUse", s.lastUse, "open", s.open)
	if s.open {
		it.Add("txnEpoch", s.txnEpoch, "txnFirst", s.txnFirst)
	}
	batches := []string{}
	for _, c := range s.batches[:s.n] {
		batches = append(batches, fmt.Sprintf("%d-%d@%d", c.firstSequence, c.lastSequence, c.baseOffset))
	}
	it.Add("batches", batches)
	return it
}
