package commitlog

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

// TopicPartition names a partition by its topic's id.
type TopicPartition struct {
	Topic     TopicID
	Partition int32
}

// Update is what Commit makes durable as one entry: all of it or nothing, over every crash.
type Update struct {
	// Records go to their machines' Replay in this order. The caller holds the locks of these machines.
	Records []Record
	// Begin opens the producer's transaction on partitions, before any data is there (AddPartitionsToTxn). It is idempotent.
	Begin []Begin
	// Markers end the producer's transaction on partitions, each with a control batch.
	Markers []Marker
}

// Begin opens a transaction on a partition: from then on transactional batches of this producer id and epoch are accepted.
type Begin struct {
	TopicPartition
	ProducerID    int64
	ProducerEpoch int16
}

// Marker ends a transaction on a partition. ProducerEpoch becomes the partition's epoch for the producer, so that batches of a
// lower one are fenced from then on; with transaction version 2 it is the bumped epoch.
type Marker struct {
	TopicPartition
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Commit           bool
}

// Commit makes u durable as one entry and applies it. It returns when the update is applied and enqueued: Wait for the LSN
// before telling anybody. offsets holds each marker's offset, in order, or -1 if the topic is gone: a deleted topic does not
// keep a transaction from ending. An empty update is an entry too.
//
// Errors are ErrStopped and ErrClosed, or tell of a machine that is not there; then nothing of u was applied. Only an error of a machine's
// Replay comes after the fact: it stops the log.
func (l *Log) Commit(u Update) (lsn LSN, offsets []int64, err error) {
	if err := l.checkRecords(u.Records); err != nil {
		return 0, nil, err
	}
	done, err := l.enter()
	if err != nil {
		return 0, nil, err
	}
	defer done()
	touched := l.touchedBy(&u)
	unlock := lockAll(touched)
	defer unlock()
	e := entry{records: u.Records, begins: make([]Begin, 0, len(u.Begin)), markers: make([]placedMarker, 0, len(u.Markers))}
	for _, b := range u.Begin {
		if findPartition(touched, b.TopicPartition) != nil {
			e.begins = append(e.begins, b)
		}
	}
	now := l.now()
	offsets = make([]int64, len(u.Markers))
	ends := make(map[*Partition]int64, len(u.Markers)) // a partition may be ended for two producers at once
	for i, m := range u.Markers {
		p := findPartition(touched, m.TopicPartition)
		if p == nil {
			offsets[i] = -1
			continue
		}
		end, ok := ends[p]
		if !ok {
			end = p.mu.end
		}
		offsets[i], ends[p] = end, end+1
		e.markers = append(e.markers, placedMarker{Marker: m, offset: end, timestamp: now})
	}
	lsn, err = l.commitLocked(&e, touched)
	if err != nil {
		return 0, nil, err
	}
	return lsn, offsets, nil
}

func (l *Log) checkRecords(records []Record) error {
	for _, r := range records {
		if l.machines[r.Machine] == nil {
			return fmt.Errorf("commit: no machine %d", r.Machine)
		}
	}
	return nil
}

// touchedBy returns the partitions of the update that exist, in their lock order, each once.
func (l *Log) touchedBy(u *Update) (all []*Partition) {
	for _, b := range u.Begin {
		if p := l.catalog.partition(b.TopicPartition); p != nil {
			all = append(all, p)
		}
	}
	for _, m := range u.Markers {
		if p := l.catalog.partition(m.TopicPartition); p != nil {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, comparePartitions)
	return slices.Compact(all)
}

// findPartition returns the locked partition of that name, unless it is not there or deleted.
func findPartition(locked []*Partition, tp TopicPartition) *Partition {
	i, found := slices.BinarySearchFunc(locked, tp, func(p *Partition, tp TopicPartition) int { return compareNames(p.name(), tp) })
	if !found || locked[i].mu.deleted {
		return nil
	}
	return locked[i]
}

// lockAll locks partitions, which are in their lock order.
func lockAll(all []*Partition) (unlock func()) {
	for _, p := range all {
		p.mu.Lock()
	}
	return func() {
		for _, p := range all {
			p.mu.Unlock()
		}
	}
}

// commitLocked enqueues a decided entry and applies it. The caller holds what the entry touches (L2).
func (l *Log) commitLocked(e *entry, touched []*Partition) (LSN, error) {
	var body []byte
	if e.append != nil {
		body = e.append.raw
	}
	lsn, err := l.enqueue(e.encode(make([]byte, 0, 128)), body, touched...)
	if err != nil {
		return 0, err
	}
	if err := l.apply(lsn, e); err != nil {
		// The entry was decided against the very state that refuses it: memory and journal differ, and no more may be written.
		l.fail(fmt.Errorf("apply entry %d: %w", lsn, err))
		return 0, l.journal.Err()
	}
	return lsn, nil
}

// markerBatch makes the control batch that a marker is stored as.
func markerBatch(m *placedMarker, leaderEpoch int32) []byte {
	return batch.AppendMarker(make([]byte, 0, batch.MarkerSize), batch.Marker{
		BaseOffset: m.offset, LeaderEpoch: leaderEpoch, Timestamp: m.timestamp, ProducerID: m.ProducerID,
		ProducerEpoch: m.ProducerEpoch, CoordinatorEpoch: m.CoordinatorEpoch, Commit: m.Commit,
	})
}
