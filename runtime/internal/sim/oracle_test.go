package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// check recomputes everything from the committed log, when all is at rest.
func (w *world) check() {
	w.checkRest()
	w.checkStage(topicIn, topicOut, storeCounts)
	w.checkMid()
	w.checkStage(topicMid, topicTotals, storeSums)
	w.checkDead()
	for _, in := range w.instances {
		w.checkDisk(in.name, in.disk)
	}
}

// checkRest is LSO: nothing is open, and the offsets are behind the last committed record. What a zombie has written since the
// input was drained is aborted, and nobody is left to read past it.
func (w *world) checkRest() {
	for _, tp := range sortedPartitions(w.log.partitions) {
		p := w.log.partitions[tp]
		if n := int64(len(p.records)); p.stable() != n {
			w.violate("LSO", "%v is stable up to %d of %d", tp, p.stable(), n)
		}
		end := int64(0)
		p.visible(func(offset int64, _ *record) { end = offset + 1 })
		if at := w.log.offsets[tp].Offset; (tp.Topic == topicIn || tp.Topic == topicMid) && at < end {
			w.violate("LSO", "%v is read up to %d of %d", tp, at, end)
		}
	}
}

// checkStage is REF and CHANGELOG: the outputs of a stage are what its committed input makes of them, key by key in order, and its
// changelog ends with the counts.
func (w *world) checkStage(from, to, store string) {
	want, got := make(map[string][]string), make(map[string][]string)
	for p := range w.partitions {
		last := make(map[string]int64)
		w.log.partition(client.TopicPartition{Topic: from, Partition: p}).visible(func(offset int64, r *record) {
			key := string(r.key)
			if refused(string(r.value)) {
				return
			}
			last[key]++
			want[key] = append(want[key], countedValue(last[key], p, offset))
		})
		w.checkChangelog(client.TopicPartition{Topic: topology.ChangelogTopic(application, store), Partition: p}, last)
	}
	for p := range w.partitions {
		w.log.partition(client.TopicPartition{Topic: to, Partition: p}).visible(func(_ int64, r *record) {
			got[string(r.key)] = append(got[string(r.key)], string(r.value))
		})
	}
	w.compare("REF", to, want, got)
}

func (w *world) compare(oracle, topic string, want, got map[string][]string) {
	keys := slices.Sorted(maps.Keys(want))
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if want[key] == nil {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		if !slices.Equal(want[key], got[key]) {
			w.violate(oracle, "%s, key %s: got %q, want %q", topic, key, got[key], want[key])
		}
	}
}

// checkChangelog wants the counts to grow from row to row, and to end where the input does.
func (w *world) checkChangelog(tp client.TopicPartition, last map[string]int64) {
	rows := make(map[string]int64)
	w.log.partition(tp).visible(func(offset int64, r *record) {
		n := countOf(r)
		if n <= rows[string(r.key)] {
			w.violate("CHANGELOG", "%v@%d: %s goes from %d to %d", tp, offset, r.key, rows[string(r.key)], n)
		}
		rows[string(r.key)] = n
	})
	if !maps.Equal(rows, last) {
		w.violate("CHANGELOG", "%v ends with %v, want %v", tp, rows, last)
	}
}

// checkDead wants one dead letter for each record that was refused, in the order of its key.
func (w *world) checkDead() {
	want, got := make(map[string][]string), make(map[string][]string)
	for p := range w.partitions {
		for _, from := range []string{topicIn, topicMid} {
			w.log.partition(client.TopicPartition{Topic: from, Partition: p}).visible(func(_ int64, r *record) {
				if refused(string(r.value)) {
					want[string(r.key)] = append(want[string(r.key)], string(r.value))
				}
			})
		}
		w.log.partition(client.TopicPartition{Topic: topicDead, Partition: p}).visible(func(_ int64, r *record) {
			got[string(r.key)] = append(got[string(r.key)], string(r.value))
		})
	}
	w.compare("REF", topicDead, want, got)
}

// checkMid wants each input record once in the topic between the stages, those of a partition in order.
func (w *world) checkMid() {
	want, got := make(map[string][]string), make(map[string][]string)
	for p := range w.partitions {
		w.log.partition(client.TopicPartition{Topic: topicIn, Partition: p}).visible(func(offset int64, r *record) {
			key := fmt.Sprintf("%s from %d", groupOf(string(r.key)), p)
			want[key] = append(want[key], sourceValue(p, offset))
		})
	}
	for q := range w.partitions {
		w.log.partition(client.TopicPartition{Topic: topicMid, Partition: q}).visible(func(_ int64, r *record) {
			p, _, _ := bytes.Cut(r.value, []byte("@"))
			key := fmt.Sprintf("%s from %s", r.key, p)
			got[key] = append(got[key], string(r.value))
		})
	}
	w.compare("REF", topicMid, want, got)
}

// checkDisk is STORE: what stands on a disk is what the changelog says up to the position beside it, of committed records alone.
func (w *world) checkDisk(name string, d *disk) {
	engine, err := d.copy().mount(nil)
	if err != nil {
		w.violate("STORE", "%s: %v", name, err)
		return
	}
	db, err := state.NewDB(engine, state.Config{Inline: true, Logger: discard})
	if err != nil {
		w.violate("STORE", "%s: %v", name, err)
		return
	}
	stored, err := db.Stored()
	if err != nil {
		w.violate("STORE", "%s: %v", name, err)
	}
	for _, sp := range stored {
		if err := w.checkStore(name, db, sp); err != nil {
			w.violate("STORE", "%s %s: %v", name, sp, err)
		}
	}
	if err := db.Close(); err != nil {
		w.violate("STORE", "%s: %v", name, err)
	}
}

func (w *world) checkStore(name string, db *state.DB, sp state.StorePartition) error {
	i := slices.IndexFunc(w.job.Stores, func(s *state.Spec) bool { return s.Name == sp.Store })
	p, err := db.Partition(w.job.Stores[i], sp.Partition)
	if err != nil {
		return err
	}
	rows, err := rowsOf(w.job.Stores[i], p)
	if err != nil {
		return err
	}
	at, _ := p.Position()
	tp := changelogOf(sp)
	if want := w.changelogRows(tp, at.Next); !maps.Equal(rows, want) {
		return fmt.Errorf("holds %v at %d of %v, the changelog says %v", rows, at.Next, tp, want)
	}
	return nil
}

// rowsOf returns what a store partition holds.
func rowsOf(spec *state.Spec, p *state.Partition) (map[string]int64, error) {
	layer, err := spec.Open(state.Env{Committed: p})
	if err != nil {
		return nil, err
	}
	rows := make(map[string]int64)
	for row, err := range layer.(*counts).Range(serde.None[string](), serde.None[string]()) {
		if err != nil {
			return nil, err
		}
		rows[row.Key] = row.Value
	}
	return rows, nil
}

// changelogRows recomputes what a store holds from its changelog up to an offset.
func (w *world) changelogRows(tp client.TopicPartition, end int64) map[string]int64 {
	rows := make(map[string]int64)
	log := w.log.partition(tp)
	for offset := range min(end, int64(len(log.records))) {
		if r := &log.records[offset]; r.fate != control && w.log.decided(r) {
			rows[string(r.key)] = countOf(r)
		}
	}
	return rows
}

// countOf is the count that a changelog record holds.
func countOf(r *record) int64 { return int64(binary.BigEndian.Uint64(r.value)) }
