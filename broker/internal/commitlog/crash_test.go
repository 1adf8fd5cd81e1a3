package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/broker/internal/batch"
)

// crashRun drives a log on a file system that is cloned, as a crash would leave it, around every sync.
type crashRun struct {
	seed   uint64
	mem    *vfs.MemFS
	fs     *syncFS
	ledger *ledger
	points atomic.Int64

	clones chan crashClone
	lossMu sync.Mutex
	loss   error // the first one found
	stop   atomic.Bool

	storm               bool // a checkpoint is begun with every append
	sealed, checkpoints int  // how much the workload went through
}

// crashClone is a disk after a crash, and what had been promised before it.
type crashClone struct {
	point  int64
	class  string
	disk   *vfs.MemFS
	ledger *ledger
}

func newCrashRun(seed uint64, drop string) *crashRun {
	r := &crashRun{seed: seed, mem: vfs.NewCrashableMem(), ledger: newLedger(), clones: make(chan crashClone, 4)}
	r.fs = &syncFS{FS: r.mem, drop: drop, observe: r.observe}
	return r
}

// observe clones the disk: what is synced, and in one of sixteen a half of what is not. The copy of the ledger comes first: what is
// promised while the disk is cloned need not be on the clone.
func (r *crashRun) observe(class string) {
	if r.stop.Load() {
		return
	}
	point := r.points.Add(1)
	promised := r.ledger.copy()
	cfg := vfs.CrashCloneCfg{}
	if point%16 == 0 {
		cfg = vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(r.seed, uint64(point)))}
	}
	r.fs.cloneMu.Lock()
	disk := r.mem.CrashClone(cfg)
	r.fs.cloneMu.Unlock()
	promised.retract(r.ledger)
	r.clones <- crashClone{point: point, class: class, disk: disk, ledger: promised}
}

// check opens the clones, one after the other, until the channel is closed.
func (r *crashRun) check() {
	for c := range r.clones {
		if r.stop.Load() {
			continue // drain
		}
		if err := checkClone(&c); err != nil {
			r.lossMu.Lock()
			if r.loss == nil {
				r.loss = fmt.Errorf("seed %d, crash at sync point %d (%s): %w", r.seed, c.point, c.class, err)
			}
			r.lossMu.Unlock()
			r.stop.Store(true)
		}
	}
}

func checkClone(c *crashClone) (err error) {
	cfg := testConfig(c.disk)
	for range 2 { // and once more, from what the recovery left
		m := newTxnMachine()
		l, err := Open(ctx, cfg, machineMap([]Machine{m}))
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		err = c.ledger.check(l, m)
		if c.point%8 == 0 {
			err = errors.Join(err, l.Verify(ctx))
		}
		if err = errors.Join(err, l.Close()); err != nil {
			return err
		}
		if c.point%8 != 0 {
			break
		}
	}
	return nil
}

// run runs the workload until it is over or a loss was found.
func (r *crashRun) run(t *testing.T, rounds int) {
	t.Helper()
	var checkers sync.WaitGroup
	for range 2 {
		checkers.Go(r.check)
	}
	r.drive(t, rounds)
	close(r.clones)
	checkers.Wait()
}

// drive opens the log, works and closes it.
func (r *crashRun) drive(t *testing.T, rounds int) {
	t.Helper()
	m := newTxnMachine()
	l, err := Open(ctx, testConfig(r.fs), machineMap([]Machine{m}))
	if err != nil {
		t.Fatal(err)
	}
	w := &workload{run: r, log: l, machine: m}
	if err := w.work(rounds); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	r.checkpoints = int(l.epoch)
	for _, p := range l.catalog.partitions() {
		r.sealed += max(0, len(p.mu.segments)-1)
	}
}

// workload is three producers on shared topics: plain and transactional, with topics coming and going.
type workload struct {
	run     *crashRun
	log     *Log
	machine *txnMachine
	txns    atomic.Int64
}

func (w *workload) work(rounds int) error {
	a, err := w.create("a", 3)
	if err != nil {
		return err
	}
	b, err := w.create("b", 2)
	if err != nil {
		return err
	}
	errs := make([]error, 3)
	var g sync.WaitGroup
	for i := range errs {
		g.Go(func() {
			rng := rand.New(rand.NewPCG(w.run.seed, uint64(i)))
			errs[i] = w.produce(rng, int64(100+i), rounds, []Topic{a, b})
		})
	}
	g.Wait()
	return errors.Join(errs...)
}

func (w *workload) create(name string, partitions int32) (Topic, error) {
	topic, lsn, err := w.log.CreateTopic(TopicSpec{Name: name, Partitions: partitions})
	if err == nil {
		err = w.log.Wait(ctx, lsn)
	}
	if err == nil {
		w.run.ledger.topic(topic.ID, true)
	}
	return topic, err
}

// produce is one producer with its own id: transactions over some partitions, plain batches in between.
func (w *workload) produce(rng *rand.Rand, id int64, rounds int, topics []Topic) error {
	sequences := map[TopicPartition]int32{}
	for round := 0; round < rounds && !w.run.stop.Load(); round++ {
		var in []TopicPartition
		for range 1 + rng.IntN(3) {
			topic := topics[rng.IntN(len(topics))]
			tp := TopicPartition{topic.ID, rng.Int32N(topic.Partitions)}
			b := transactional(id, 0, sequences[tp], 1+rng.IntN(20))
			if err := w.append(tp, b); err != nil {
				return err
			}
			sequences[tp] += int32(len(b.records))
			in = append(in, tp)
		}
		if rng.IntN(4) == 0 { // leave it open over the next round
			continue
		}
		if err := w.end(id, topics, rng.IntN(3) > 0); err != nil {
			return err
		}
		if err := w.append(in[0], producerBatch{id: -1, epoch: -1, sequence: -1, records: records(2, rng.IntN(2000))}); err != nil {
			return err
		}
		if rng.IntN(10) == 0 {
			if err := w.shortLived(id, round); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *workload) append(tp TopicPartition, b producerBatch) error {
	if w.run.storm {
		w.log.kickCheckpoint()
	}
	p := w.log.Partition(tp.Topic, tp.Partition)
	raw := b.raw()
	res, err := p.Append(raw, AppendOptions{Begin: b.txn})
	if err != nil {
		return err
	}
	h, err := batch.ParseHeader(raw)
	if err != nil {
		return err
	}
	if err := w.log.Wait(ctx, res.LSN); err != nil {
		return err
	}
	w.run.ledger.appended(tp, b, h.CRC, res.BaseOffset)
	w.run.ledger.saw(tp, p.Offsets().HighWatermark)
	return nil
}

// end ends the producer's transaction on all partitions, and tells the machine, in one entry.
func (w *workload) end(id int64, topics []Topic, commit bool) error {
	var u Update
	for _, t := range topics {
		for i := range t.Partitions {
			u.Markers = append(u.Markers, Marker{TopicPartition: TopicPartition{t.ID, i}, ProducerID: id, Commit: commit})
		}
	}
	n := w.txns.Add(1)
	u.Records = []Record{{Machine: 1, Data: binary.AppendVarint(nil, n)}}
	first := w.run.ledger.ending(u.Markers)
	w.machine.Lock()
	lsn, offsets, err := w.log.Commit(u)
	w.machine.Unlock()
	if err == nil {
		err = w.log.Wait(ctx, lsn)
	}
	if err == nil {
		w.run.ledger.endedWith(n, u.Markers, offsets, first)
	}
	return err
}

// shortLived creates a topic, writes to it and deletes it.
func (w *workload) shortLived(id int64, round int) error {
	topic, err := w.create(fmt.Sprintf("short-%d-%d", id, round), 1)
	if err != nil {
		return err
	}
	if err := w.append(TopicPartition{topic.ID, 0}, plain(5, 100)); err != nil {
		return err
	}
	w.run.ledger.mu.Lock()
	delete(w.run.ledger.topics, topic.ID) // from now on it may be there or not
	w.run.ledger.mu.Unlock()
	lsn, err := w.log.DeleteTopic(topic.ID)
	if err == nil {
		err = w.log.Wait(ctx, lsn)
	}
	if err == nil {
		w.run.ledger.topic(topic.ID, false)
	}
	return err
}

// TestCrashAtEverySync is the promise: whatever was acknowledged survives a crash, wherever it strikes.
func TestCrashAtEverySync(t *testing.T) {
	t.Parallel()
	rounds, want := 60, int64(1000)
	if raceEnabled {
		rounds, want = 10, 100
	}
	r := newCrashRun(1, "")
	r.run(t, rounds)
	if r.loss != nil {
		t.Fatal(r.loss)
	}
	if n := r.points.Load(); n < want {
		t.Errorf("%d crash points, want at least %d", n, want)
	} else {
		t.Logf("%d crash points, every acknowledged record there after each", n)
	}
	if (r.sealed == 0 || r.checkpoints < 3) && !raceEnabled {
		t.Errorf("the workload sealed %d segments in %d checkpoints: too little to prove anything", r.sealed, r.checkpoints)
	}
}

// TestCrashAmongCheckpoints has one checkpoint follow the other, so that they meet everything.
func TestCrashAmongCheckpoints(t *testing.T) {
	t.Parallel()
	r := newCrashRun(4, "")
	r.storm = true
	rounds := 10
	if raceEnabled {
		rounds = 3
	}
	r.run(t, rounds)
	if r.loss != nil {
		t.Fatal(r.loss)
	}
	t.Logf("%d crash points, %d checkpoints", r.points.Load(), r.checkpoints)
}

// TestCrashInRecovery crashes a recovery at each of its syncs, and recovers from that.
func TestCrashInRecovery(t *testing.T) {
	t.Parallel()
	r := newCrashRun(3, "")
	most := 12
	if raceEnabled {
		most = 2
	}
	var disks []crashClone
	var g sync.WaitGroup
	g.Go(func() {
		for c := range r.clones {
			if c.point%40 == 0 && len(disks) < most {
				disks = append(disks, c)
			}
		}
	})
	r.drive(t, 30)
	close(r.clones)
	g.Wait()
	points := 0
	for _, d := range disks {
		fs := &syncFS{FS: d.disk}
		var again []crashClone
		fs.observe = func(class string) {
			again = append(again, crashClone{point: d.point, class: class, disk: d.disk.CrashClone(vfs.CrashCloneCfg{}), ledger: d.ledger})
		}
		l, err := Open(ctx, testConfig(fs), machineMap([]Machine{newTxnMachine()}))
		if err != nil {
			t.Fatal(err)
		}
		fs.observe = func(string) {}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		for i := range again {
			if err := checkClone(&again[i]); err != nil {
				t.Fatalf("crash at sync point %d, and again in the recovery at its sync %d (%s): %v", d.point, i+1, again[i].class, err)
			}
			points++
		}
	}
	t.Logf("%d crash points in %d recoveries", points, len(disks))
}

// TestCrashWithoutOneSync shows that the test above would notice: it leaves out the syncs of one class, and must find a loss.
func TestCrashWithoutOneSync(t *testing.T) {
	t.Parallel()
	for _, class := range []string{"journal", "journal directory", "segment", "partition directory", "topics directory",
		"snapshot", "data directory"} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			r := newCrashRun(2, class)
			r.run(t, 75)
			if r.loss == nil {
				t.Errorf("no loss in %d crash points without the syncs of the %s", r.points.Load(), class)
			} else {
				t.Logf("found after %d crash points: %v", r.points.Load(), r.loss)
			}
		})
	}
}
