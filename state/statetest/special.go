package statetest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/state"
)

// special is a store of a shape of its own, with its model: each operation is done on both, and compared where it has a result.
type special interface {
	spec() *state.Spec
	layer() state.Layer
	open(state.Env) error
	// operate does one random operation, or compares a random range. What differs is told.
	operate(r *rand.Rand) (differs string, err error)
	// compare reads the whole store.
	compare() (differs string, err error)
	// settle makes the model's open transaction its committed state, or forgets it.
	settle(commit bool)
}

// specials drives a special store through commits, aborts, restores and expiry, as driver does stores of entries.
type specials struct {
	t       testing.TB
	r       *rand.Rand
	storage Storage
	conf    state.Config
	db      *state.DB
	part    *state.Partition
	s       special
	log     *changelog
}

func runSpecial(t testing.TB, storage Storage, c cache, s special) {
	d := &specials{
		t: t, r: newRand(t), storage: storage, s: s, log: &changelog{},
		conf: state.Config{Inline: true, CacheBytes: c.bytes, ApplyBytes: c.applyBytes, BulkBytes: 16 << 10},
	}
	d.open()
	for range opsPerRun {
		d.step()
	}
	d.commit()
	d.compare()
	must(t, d.db.Close(), "close")
}

func (d *specials) step() {
	switch x := d.r.IntN(1000); {
	case x < 930:
		d.agree(d.s.operate(d.r))
	case x < 940:
		must(d.t, d.s.layer().Flush(), "flush")
	case x < 975:
		d.commit()
	case x < 985:
		d.s.layer().Drop()
		d.rollBack()
		d.task()
	case x < 993:
		must(d.t, d.db.Sync(), "sync")
	case x < 997:
		must(d.t, d.db.Close(), "close")
		d.rollBack()
		d.open()
		d.compare()
	default:
		d.rollBack()
		must(d.t, d.part.Reset(logID), "reset")
		d.restore()
		d.compare()
	}
}

func (d *specials) agree(differs string, err error) {
	must(d.t, err, "operate")
	if differs != "" {
		d.t.Fatalf("%s", differs)
	}
}

func (d *specials) compare() { d.agree(d.s.compare()) }

func (d *specials) open() {
	e, err := d.storage.Open()
	must(d.t, err, "open engine")
	d.db, err = state.NewDB(e, d.conf)
	must(d.t, err, "open db")
	d.part, err = d.db.Partition(d.s.spec(), logID.Partition)
	must(d.t, err, "open partition")
	d.restore()
}

// task builds the store anew over the partition.
func (d *specials) task() {
	must(d.t, d.s.open(state.Env{Committed: d.part, Changelog: d.log}), "open store")
}

func (d *specials) restore() {
	must(d.t, restoreTail(d.r, d.part, d.log.committed), "restore")
	d.task()
}

func (d *specials) commit() {
	must(d.t, d.s.layer().Flush(), "flush")
	d.log.committed, d.log.open = append(d.log.committed, d.log.open...), nil
	must(d.t, d.s.layer().Commit(int64(len(d.log.committed))), "commit")
	d.s.settle(true)
}

func (d *specials) rollBack() {
	d.log.open = nil
	d.s.settle(false)
}

// restoreTail brings a partition to the end of its changelog, in batches, half of the time in bulk.
func restoreTail(r *rand.Rand, p *state.Partition, log []logRecord) error {
	pos, ok := p.Position()
	if !ok {
		pos = logID
		if err := p.Reset(pos); err != nil {
			return err
		}
	}
	if r.IntN(2) == 0 {
		if _, err := p.BeginBulk(1 << 40); err != nil {
			return err
		}
	}
	for next := pos.Next; next < int64(len(log)); {
		n := min(int64(1+r.IntN(50)), int64(len(log))-next)
		for _, rec := range log[next : next+n] {
			if err := p.Restore(rec.key, rec.value, rec.ts, rec.headers...); err != nil {
				return err
			}
		}
		next += n
		if err := p.RestoredTo(next); err != nil {
			return err
		}
	}
	return p.EndBulk()
}

// cloneTable copies a map of slices.
func cloneTable[K comparable, V any](m map[K][]V) map[K][]V {
	c := make(map[K][]V, len(m))
	for k, v := range m {
		c[k] = slices.Clone(v)
	}
	return c
}
