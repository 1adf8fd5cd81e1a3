package client

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/runtime/internal/task"
)

// FetcherConfig configures a Fetcher.
type FetcherConfig struct {
	// ReadUncommitted shows records of open and aborted transactions too. Default: read_committed.
	ReadUncommitted bool
	// MaxWait is how long the broker may hold a fetch that finds nothing (fetch.max.wait.ms). Default 200 ms.
	MaxWait time.Duration
	// MaxBytes bounds one answer (fetch.max.bytes), default 8 MiB; MaxPartitionBytes one partition's share
	// (max.partition.fetch.bytes), default 1 MiB. A batch larger than that is still fetched, alone.
	MaxBytes, MaxPartitionBytes int
	// BufferBytes bounds what was fetched and not yet released, over all partitions, default 64 MiB; PartitionBufferBytes
	// for one partition, default 4 MiB. At the bound a partition is not fetched, unless nothing of it is held: others, and what they
	// hold, may have to wait for it. Each bound may be overshot by one answer, BufferBytes by a batch of each such partition too.
	BufferBytes, PartitionBufferBytes int
	// Fair gives every partition an equal share of the buffer, so that one that is read slowly leaves the others theirs.
	Fair bool
	// FromLeader has the leader asked even if Config.Rack is set: what a replica says of where the log ends may be old.
	FromLeader bool
}

func (cfg *FetcherConfig) setDefaults() {
	setDefault(&cfg.MaxWait, 200*time.Millisecond)
	setDefault(&cfg.MaxBytes, 8<<20)
	setDefault(&cfg.MaxPartitionBytes, 1<<20)
	setDefault(&cfg.BufferBytes, 64<<20)
	setDefault(&cfg.PartitionBufferBytes, 4<<20)
}

// Fetched is news of one partition.
type Fetched struct {
	TopicPartition
	// Batch are the records, nil if only the ends have moved or nothing has been said for a minute, or with Err. Whoever gets it releases it.
	Batch task.Batch
	// HighWatermark, LastStable and LogStart are the partition's offsets as of this answer. A replica may know older ones than the leader, so they
	// may go back.
	HighWatermark, LastStable, LogStart int64
	// Lag is how many offsets there are to read beyond Batch: 0 means that the broker has nothing more.
	Lag int64
	// Err ends the fetching of the partition until it is added again: *OutOfRangeError, *TruncatedError,
	// *RecreatedError, *recordbatch.CorruptError, or what the broker said for good.
	Err error
}

const (
	// heldWait is MaxWait while a partition is not fetched because its buffer is full: it must not wait for the long
	// poll of the others once there is room.
	heldWait = 5 * time.Millisecond
	// missingTimeout is how long a partition may be missing in the log's metadata before that is an error.
	missingTimeout = 30 * time.Second
	// sayAgain is after what time ends are handed out again that have not moved: a copy that nothing comes for is known to be complete.
	sayAgain = time.Minute
)

// Fetcher reads partitions with its own connections. Its methods are safe for use by several goroutines.
//
// For each node that is asked there is one goroutine with at most one fetch under way, for all partitions that may be fetched. A fetch
// that waits for data is given up when a partition is added, so that nothing waits for what others lack.
type Fetcher struct {
	c        *Client
	cfg      FetcherConfig
	conn     *kgo.Client
	throttle *throttle
	crew     *crew
	ready    chan struct{}

	replicaAge time.Duration
	sayAgain   time.Duration

	mu struct {
		sync.Mutex
		feeds map[TopicPartition]*feed
		order []*feed // those that a fetch asks for first come first
		queue []queued
		held  int // bytes fetched and not released, over all feeds that are not removed
		polls map[int32]context.CancelFunc
	}
}

// feed is one partition that is fetched. A partition that is removed and added again is another feed, so that an answer
// to the first finds nobody.
type feed struct {
	tp      TopicPartition
	topicID [16]byte // zero until the first look-up
	leader  PartitionLeader
	replica int32 // asked instead of the leader, noLeader: none
	// replicaUntil is until when the replica is asked, leaderUntil until when none.
	replicaUntil, leaderUntil time.Time

	position  int64
	lastEpoch int32 // leader epoch of the last batch, -1 before
	ended     bool  // by an error or by Remove
	paused    bool
	busy      bool
	fed       bool // by the answer at hand
	held      int  // bytes
	tries     int
	missing   time.Time // since when the log's metadata has left the partition out; zero: it has not
	notBefore time.Time
	reported  Fetched   // the last ends that were queued
	known     bool      // reported is set
	said      time.Time // when they were
}

type queued struct {
	feed *feed
	Fetched
}

// NewFetcher returns a Fetcher without partitions.
func NewFetcher(c *Client, cfg FetcherConfig) (*Fetcher, error) {
	cfg.setDefaults()
	conn, throttle, err := c.open()
	if err != nil {
		return nil, doing(err, "open connections of a fetcher")
	}
	f := &Fetcher{c: c, cfg: cfg, conn: conn, throttle: throttle, ready: make(chan struct{}, 1), replicaAge: replicaAge, sayAgain: sayAgain}
	f.mu.feeds = make(map[TopicPartition]*feed)
	f.mu.polls = make(map[int32]context.CancelFunc)
	f.crew = newCrew(f.work)
	return f, nil
}

// minShare is the least share of the buffer that a partition has, if they are fair, and what it is given beyond a buffer that is full.
const minShare = 16 << 10

// shareLocked returns how much a partition may hold, and how much one answer should hold of it.
func (f *Fetcher) shareLocked() (hold, answer int) {
	switch {
	case !f.cfg.Fair && f.mu.held < f.cfg.BufferBytes:
		return f.cfg.PartitionBufferBytes, f.cfg.MaxPartitionBytes
	case !f.cfg.Fair:
		return f.cfg.PartitionBufferBytes, min(minShare, f.cfg.MaxPartitionBytes)
	}
	share := max(f.cfg.BufferBytes/(2*max(len(f.mu.order), 1)), minShare) // and as much again, by which it is overshot
	return min(share, f.cfg.PartitionBufferBytes), min(share, f.cfg.MaxPartitionBytes)
}

// fullLocked reports whether a feed has to wait until something is released.
func (f *Fetcher) fullLocked(d *feed, share int) bool {
	return d.held > 0 && (d.held >= share || f.mu.held >= f.cfg.BufferBytes)
}

// SetBufferBytes changes FetcherConfig.BufferBytes.
func (f *Fetcher) SetBufferBytes(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cfg.BufferBytes = n
	f.freeLocked(0, true) // there may be room now, and nothing that is released later would tell
}

// Add starts fetching tp at offset. Adding it again moves it; nothing that was fetched before is handed out any more.
func (f *Fetcher) Add(tp TopicPartition, offset int64) {
	f.Remove(tp)
	f.mu.Lock()
	defer f.mu.Unlock()
	d := &feed{tp: tp, leader: PartitionLeader{noLeader, -1}, replica: noLeader, position: offset, lastEpoch: -1}
	f.mu.feeds[tp] = d
	f.mu.order = append(f.mu.order, d)
	f.crew.wake(noLeader)
}

// Remove stops fetching tp. Nothing of it is handed out any more. Batches handed out before stay valid.
func (f *Fetcher) Remove(tp TopicPartition) {
	f.mu.Lock()
	d, ok := f.mu.feeds[tp]
	if !ok {
		f.mu.Unlock()
		return
	}
	delete(f.mu.feeds, tp)
	f.mu.order = slices.DeleteFunc(f.mu.order, func(o *feed) bool { return o == d })
	var dropped []task.Batch
	f.mu.queue = slices.DeleteFunc(f.mu.queue, func(q queued) bool {
		if q.feed == d && q.Batch != nil {
			dropped = append(dropped, q.Batch)
		}
		return q.feed == d
	})
	d.ended = true
	f.freeLocked(d.held, false)
	f.mu.Unlock()
	for _, b := range dropped {
		b.Release()
	}
}

// Pause stops fetching partitions until Resume. What was fetched before, or is on its way, is still handed out. Partitions that
// were not added are left out; one that is added again is not paused.
func (f *Fetcher) Pause(partitions ...TopicPartition) { f.setPaused(true, partitions) }

// Resume has partitions fetched again, from where they were paused.
func (f *Fetcher) Resume(partitions ...TopicPartition) { f.setPaused(false, partitions) }

func (f *Fetcher) setPaused(paused bool, partitions []TopicPartition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, tp := range partitions {
		d, ok := f.mu.feeds[tp]
		if !ok || d.paused == paused {
			continue
		}
		if d.paused = paused; !paused {
			f.interruptLocked(d.node())
		}
	}
}

// interruptLocked makes the node's goroutine ask anew, even if it waits for an answer.
func (f *Fetcher) interruptLocked(node int32) {
	if cancel, ok := f.mu.polls[node]; ok {
		cancel()
	}
	f.crew.wake(node)
}

// Ready has a value when Take may have something new.
func (f *Fetcher) Ready() <-chan struct{} { return f.ready }

// Take appends what has been fetched to dst, in offset order for each partition, and does not wait.
func (f *Fetcher) Take(dst []Fetched) []Fetched {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.mu.queue {
		dst = append(dst, f.mu.queue[i].Fetched)
	}
	clear(f.mu.queue)
	f.mu.queue = f.mu.queue[:0]
	return dst
}

// Close stops the goroutines and closes the connections. Batches handed out stay valid.
func (f *Fetcher) Close() {
	f.crew.close()
	f.conn.Close()
}

// queueLocked hands news out. Ends alone replace ends that nobody has taken yet.
func (f *Fetcher) queueLocked(d *feed, news Fetched) {
	news.TopicPartition = d.tp
	d.reported, d.known, d.said = news, true, time.Now()
	if n := len(f.mu.queue); n > 0 && news.Batch == nil && news.Err == nil {
		if last := &f.mu.queue[n-1]; last.feed == d && last.Batch == nil && last.Err == nil {
			last.Fetched = news
			return
		}
	}
	f.mu.queue = append(f.mu.queue, queued{d, news})
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// endLocked ends a feed with an error.
func (f *Fetcher) endLocked(d *feed, err error) {
	d.ended = true
	f.queueLocked(d, Fetched{
		HighWatermark: d.reported.HighWatermark, LastStable: d.reported.LastStable, LogStart: d.reported.LogStart,
		Err: doing(err, "fetch %s-%d at offset %d", d.tp.Topic, d.tp.Partition, d.position),
	})
}

// againLocked makes a feed try again a little later, with a new look at who leads the partition.
func (f *Fetcher) againLocked(d *feed, err error) {
	now := time.Now()
	d.tries++
	d.notBefore = now.Add(backoff(d.tries))
	d.avoidReplicaLocked(now)
	d.leader = PartitionLeader{noLeader, -1}
	f.c.log.Debug("fetch failed, trying again", "topic", d.tp.Topic, "partition", d.tp.Partition, "offset", d.position, "err", err)
}

// released takes back the bytes of a batch.
func (f *Fetcher) released(d *feed, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	share, _ := f.shareLocked()
	full := d.held >= share || d.held == n && f.cfg.Fair
	d.held -= n
	if f.mu.feeds[d.tp] == d { // else Remove has accounted for it
		f.freeLocked(n, full)
	}
}

// freeLocked gives buffer space back. If that may be what feeds waited for, or full says so, they are fetched again.
func (f *Fetcher) freeLocked(n int, full bool) {
	full = full || f.mu.held >= f.cfg.BufferBytes
	f.mu.held -= n
	if !full {
		return
	}
	for _, d := range f.mu.order {
		f.crew.wake(d.node())
	}
}
