package state

import (
	"slices"

	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// run is a part of the log on its way to the engine, with the record that belongs to it. It does not change any more.
type run struct {
	p     *Partition
	log   layer.Log
	rec   []byte
	epoch uint64
	drop  [2][]byte // range of expired buckets in the engine, if any
	low   keyschema.Bucket
	clip  bool // leave out buckets below low
}

// seal cuts the log. It returns nil if the engine has everything.
func (p *Partition) seal() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.unapplied.Len() == 0 && !p.mu.recNew {
		return nil
	}
	r := &run{p: p, log: p.mu.unapplied, rec: keyschema.AppendRecord(nil, &p.mu.rec), epoch: p.mu.epoch}
	if low, ok := p.lowLocked(); ok {
		r.low, r.clip = keyschema.BucketOf(low, p.width), true
		if p.mu.onDisk && p.mu.lowest < r.low {
			r.drop = [2][]byte{
				keyschema.AppendBucket(slices.Clone(p.prefix), p.mu.lowest),
				keyschema.AppendBucket(slices.Clone(p.prefix), r.low),
			}
			p.mu.lowest = r.low
		}
	}
	p.mu.unapplied, p.mu.spare, p.mu.recNew, p.mu.asOfTold = p.mu.spare, layer.Log{}, false, p.mu.rec.AsOf
	p.mu.epoch++
	return r
}

// write gives the run's writes in the order of the keys: sorted, an engine takes them in at half the cost.
func (r *run) write(write func(op Op, a, b []byte) error) error {
	if err := write(OpSet, r.p.recordKey, r.rec); err != nil {
		return err
	}
	if r.drop[0] != nil {
		if err := write(OpDeleteRange, r.drop[0], r.drop[1]); err != nil {
			return err
		}
	}
	key := slices.Clone(r.p.prefix)
	return r.log.Sorted(func(rec layer.Record) error {
		if r.clip && r.p.bucketOf(rec.Key) < r.low {
			return nil
		}
		key = append(key[:len(r.p.prefix)], rec.Key...)
		if rec.Tombstone {
			return write(OpDelete, key, nil)
		}
		return write(OpSet, key, rec.Value)
	})
}

// applied tells that the engine has the run.
func (p *Partition) applied(r *run) {
	r.log.Reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.applied = r.epoch
	p.mu.spare = r.log
}
