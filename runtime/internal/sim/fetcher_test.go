package sim

import (
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/topology"
)

func timeNow() time.Time { return time.Now() } // virtual: in a bubble

// fetcher reads committed data, as the client's fetcher does. Fields are guarded by the world's mutex.
type fetcher struct {
	in    *instance
	works bool // it is a worker's
	// uncommitted: records of transactions that are open or aborted are read too.
	uncommitted bool
	at          map[client.TopicPartition]*feed
	queue       []client.Fetched
	ready       chan struct{}
}

type feed struct {
	paused bool
	next   int64
	known  bool
	lag    int64
}

func newFetcher(in *instance, works bool) *fetcher {
	f := &fetcher{in: in, works: works, at: make(map[client.TopicPartition]*feed), ready: make(chan struct{}, 1)}
	in.world.mu.Lock()
	defer in.world.mu.Unlock()
	in.fetchers = append(in.fetchers, f)
	return f
}

// Add starts fetching a partition.
func (f *fetcher) Add(tp client.TopicPartition, offset int64) {
	f.Remove(tp)
	f.in.world.mu.Lock()
	defer f.in.world.mu.Unlock()
	f.at[tp] = &feed{next: offset}
}

// Remove stops it. Nothing that was fetched is handed out any more.
func (f *fetcher) Remove(tp client.TopicPartition) {
	f.in.world.mu.Lock()
	defer f.in.world.mu.Unlock()
	delete(f.at, tp)
	kept := f.queue[:0]
	for _, x := range f.queue {
		if x.TopicPartition != tp {
			kept = append(kept, x)
		}
	}
	f.queue = kept
}

// Pause stops fetching partitions for a while.
func (f *fetcher) Pause(tps ...client.TopicPartition) { f.pause(tps, true) }

// Resume goes on.
func (f *fetcher) Resume(tps ...client.TopicPartition) { f.pause(tps, false) }

func (f *fetcher) pause(tps []client.TopicPartition, paused bool) {
	f.in.world.mu.Lock()
	defer f.in.world.mu.Unlock()
	for _, tp := range tps {
		if d := f.at[tp]; d != nil {
			d.paused = paused
		}
	}
}

// Ready has a value when there is something to take.
func (f *fetcher) Ready() <-chan struct{} { return f.ready }

// Take returns what was fetched.
func (f *fetcher) Take(dst []client.Fetched) []client.Fetched {
	f.in.world.mu.Lock()
	defer f.in.world.mu.Unlock()
	if len(f.queue) == 0 || f.in.dead || f.works && f.queue[0].Batch != nil && f.in.passLocked(c1) {
		return dst
	}
	dst = append(dst, f.queue...)
	f.queue = nil
	return dst
}

// Close stops everything.
func (f *fetcher) Close() {
	f.in.world.mu.Lock()
	defer f.in.world.mu.Unlock()
	clear(f.at)
	f.queue = nil
}

// ends returns where a partition can be read up to, and whether a fetch would bring news.
func (f *fetcher) ends(tp client.TopicPartition) (stable int64, news bool) {
	d := f.at[tp]
	if p := f.in.world.log.partition(tp); f.uncommitted {
		stable = int64(len(p.records))
	} else {
		stable = p.stable()
	}
	return stable, !d.paused && (d.next < stable || !d.known || d.lag != 0)
}

func (f *fetcher) news() bool {
	for tp := range f.at {
		if _, news := f.ends(tp); news {
			return true
		}
	}
	return false
}

// poll fetches from one partition that has news: some records, or just its end.
func (f *fetcher) poll() {
	w := f.in.world
	var some []client.TopicPartition
	for _, tp := range sortedPartitions(f.at) {
		if _, news := f.ends(tp); news {
			some = append(some, tp)
		}
	}
	tp := some[w.rng.IntN(len(some))]
	d, p := f.at[tp], w.log.partition(tp)
	stable, _ := f.ends(tp)
	x := client.Fetched{TopicPartition: tp, HighWatermark: int64(len(p.records)), LastStable: stable}
	if d.next < stable {
		end := min(d.next+1+int64(w.rng.IntN(8)), stable)
		b := &batch{end: end}
		for offset := d.next; offset < end; offset++ {
			if r := &p.records[offset]; r.fate == visible || f.uncommitted && r.fate != control {
				b.records = append(b.records, topology.Raw{Key: r.key, Value: r.value, Timestamp: r.timestamp, Offset: offset})
			}
		}
		x.Batch, d.next = b, end
	}
	x.Lag = max(0, stable-d.next)
	d.known, d.lag = true, x.Lag
	w.note("%s fetched %v to %d of %d", f.in.name, tp, d.next, stable)
	f.queue = append(f.queue, x)
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// batch is a run of records.
type batch struct {
	records []topology.Raw
	end     int64
}

// Next implements task.Batch.
func (b *batch) Next(r *topology.Raw) (bool, error) {
	if len(b.records) == 0 {
		return false, nil
	}
	*r, b.records = b.records[0], b.records[1:]
	return true, nil
}

// End implements task.Batch.
func (b *batch) End() int64 { return b.end }

// LeaderEpoch implements task.Batch.
func (b *batch) LeaderEpoch() int32 { return 0 }

// Bytes implements task.Batch.
func (b *batch) Bytes() int { return 100 }

// Release implements task.Batch.
func (b *batch) Release() {}
