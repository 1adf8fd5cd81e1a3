package restore

import (
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/topology"
)

// stillKeeper is a Keeper that does not run: a test takes its steps one by one.
func stillKeeper(l *fakeLog) (*Keeper, *pushFetcher) {
	f := newPushFetcher()
	return NewKeeper(KeeperConfig{
		ClusterID: "c1", Log: l, Fetcher: f, Near: 2, Changed: func() {}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now,
	}), f
}

// copyOf is a copy that stands somewhere, in a state of its own.
func (k *Keeper) copyOf(store *fakeStore, tp client.TopicPartition, state keptState) *kept {
	c := &kept{
		task: &Task{ID: topology.TaskID{Partition: tp.Partition}}, store: &Store{Name: "counts", Changelog: tp, TopicID: topicID, State: store},
		state: state, next: store.pos.Next, end: store.pos.Next,
	}
	k.kept[tp] = c
	return c
}

// What comes for a copy that is not followed is not its: where it goes on is about to be decided, or it is to be left alone.
func TestKeeperTakesForFollowersOnly(t *testing.T) {
	t.Parallel()
	for state, want := range map[keptState]int{unlocated: 0, refused: 0, following: 1} {
		l := &fakeLog{}
		k, _ := stillKeeper(l)
		store := &fakeStore{known: true}
		k.copyOf(store, changelog, state)
		l.held = 1
		got := client.Fetched{TopicPartition: changelog, HighWatermark: 1, Batch: &fakeBatch{values: []string{"a1"}, release: func() { l.held-- }}}
		if err := k.take(&got); err != nil || len(store.content) != want || l.held != 0 {
			t.Errorf("in state %d: %v, the store holds %v, %d batches are held", state, err, store.content, l.held)
		}
	}
}

// A state that cannot be written ends the Keeper, which gives back what it has not taken. A record that is none of the store's costs the copy alone.
func TestKeeperFails(t *testing.T) {
	t.Parallel()
	other := client.TopicPartition{Topic: changelog.Topic, Partition: 2}
	cause := errors.New("disk is full")
	l := &fakeLog{held: 2}
	k, fetched := stillKeeper(l)
	k.copyOf(&fakeStore{known: true, fail: cause}, changelog, following)
	k.copyOf(&fakeStore{known: true}, other, following)
	batch := func() *fakeBatch { return &fakeBatch{values: []string{"x"}, release: func() { l.held-- }} }
	if err := k.takeAll([]client.Fetched{{TopicPartition: changelog, Batch: batch()}, {TopicPartition: other, Batch: batch()}}); !errors.Is(err, cause) || l.held != 0 {
		t.Errorf("%v, %d batches are held", err, l.held)
	}
	store := &fakeStore{known: true, refuses: "x"}
	l.held = 2
	c := k.copyOf(store, changelog, following)
	if err := k.takeAll([]client.Fetched{{TopicPartition: changelog, Batch: batch()}, {TopicPartition: other, Batch: batch()}}); err != nil || l.held != 0 {
		t.Errorf("%v, %d batches are held", err, l.held)
	}
	if got := fetched.trace(); c.state != refused || got != "remove" {
		t.Errorf("state %d, calls %q", c.state, got)
	}
}

// A replica may know less than the copy has got from another: no more is missing than nothing.
func TestKeeperAheadOfAReplica(t *testing.T) {
	t.Parallel()
	k, _ := stillKeeper(&fakeLog{})
	k.copyOf(&fakeStore{pos: here(5), known: true}, changelog, following)
	for _, got := range []client.Fetched{
		{TopicPartition: changelog, HighWatermark: 2},
		{TopicPartition: changelog, HighWatermark: 6, Batch: &fakeBatch{at: 5, values: []string{"a1", "a2"}}},
	} {
		if err := k.take(&got); err != nil {
			t.Fatal(err)
		}
		k.publish()
		if c := k.Copies(); len(c) != 1 || c[0].Lag != 0 {
			t.Errorf("high watermark %d: %v", got.HighWatermark, c)
		}
	}
}

// Look-ups that fail are further and further apart, up to a bound; a record that comes begins anew.
func TestKeeperBacksOff(t *testing.T) {
	t.Parallel()
	k, _ := stillKeeper(&fakeLog{})
	var waits []time.Duration
	for range 9 {
		waits = append(waits, k.wait)
		k.lookLater()
		k.lookLater() // one is due already
		k.again = nil
	}
	if waits[0] != firstLook || waits[1] != 2*firstLook || waits[8] != lastLook {
		t.Errorf("waits %v", waits)
	}
	k.copyOf(&fakeStore{known: true}, changelog, following)
	if err := k.take(&client.Fetched{TopicPartition: changelog, Batch: &fakeBatch{values: []string{"a1"}}}); err != nil || k.wait != firstLook {
		t.Errorf("%v, then the wait is %v", err, k.wait)
	}
}

// One look-up is under way at a time, and none before it is due.
func TestKeeperLooksOnceAtATime(t *testing.T) {
	t.Parallel()
	l := &fakeLog{}
	k, _ := stillKeeper(l)
	k.copyOf(&fakeStore{}, changelog, unlocated)
	k.looking = true
	k.look(t.Context())
	k.looking, k.again = false, make(chan time.Time)
	k.look(t.Context())
	k.looks.Wait()
	if len(l.calls) > 0 {
		t.Errorf("asked %v", l.calls)
	}
	k.again = nil
	k.look(t.Context())
	k.looks.Wait()
	if len(l.calls) != 2 || len(k.found) != 1 {
		t.Errorf("asked %v", l.calls)
	}
}

// The answer to a look-up is for the copies that were asked about, if they are still kept. While the Keeper is held, those wait.
func TestKeeperLocates(t *testing.T) {
	t.Parallel()
	k, fetched := stillKeeper(&fakeLog{})
	gone := k.copyOf(&fakeStore{}, changelog, unlocated)
	c := k.copyOf(&fakeStore{}, changelog, unlocated) // of the same changelog, kept anew
	c.restored = 7
	if err := k.locate(found{asked: []*kept{gone}}); err != nil || c.state != unlocated || gone.state != unlocated || fetched.trace() != "" {
		t.Errorf("%v: states %d and %d", err, c.state, gone.state)
	}
	k.held = true
	if err := k.locate(found{asked: []*kept{c}}); err != nil || c.state != following || c.restored != 0 {
		t.Errorf("%v: state %d, %d restored", err, c.state, c.restored)
	}
	if got := fetched.trace(); got != "add 0, pause 1" {
		t.Errorf("calls %q", got)
	}
}

// T5: an input that stands for a changelog has no copy. Of a copy that has not begun nobody is told.
func TestKeeperKeeps(t *testing.T) {
	t.Parallel()
	k, _ := stillKeeper(&fakeLog{})
	var told []EventKind
	k.cfg.Listen = func(e Event) { told = append(told, e.Kind) }
	row := func(key, value []byte, _ int64) ([]byte, []byte, bool) { return key, value, true }
	no := func(topology.TaskID) bool { return false }
	k.keep([]Task{{Stores: []Store{{Name: "counts", Changelog: changelog, State: &fakeStore{}}, {Name: "rows", Changelog: orders, Row: row}}}}, no)
	if got := k.changelogs(); !slices.Equal(got, []client.TopicPartition{changelog}) {
		t.Errorf("kept: %v", got)
	}
	k.keep(nil, no)
	if len(k.kept) > 0 || len(told) > 0 {
		t.Errorf("kept: %v, told %v", k.changelogs(), told)
	}
}

// Copies that are to be kept while a look-up is under way are looked up after it.
func TestKeeperLooksForThoseThatCome(t *testing.T) {
	t.Parallel()
	l := &slowLog{fakeLog: &fakeLog{}, asked: make(chan struct{}), answer: make(chan struct{})}
	k := keep(t, l, l.fakeLog, nil)
	task := func(n int32) Task {
		tp := client.TopicPartition{Topic: changelog.Topic, Partition: n}
		return Task{ID: topology.TaskID{Partition: n}, Stores: []Store{{Name: "counts", Changelog: tp, TopicID: topicID, State: &fakeStore{}}}}
	}
	no := func(topology.TaskID) bool { return false }
	if err := k.Keep(t.Context(), []Task{task(1)}, no); err != nil {
		t.Fatal(err)
	}
	<-l.asked
	if err := k.Keep(t.Context(), []Task{task(1), task(2)}, no); err != nil {
		t.Fatal(err)
	}
	l.answer <- struct{}{}
	select {
	case <-l.asked: // about the other one
		l.answer <- struct{}{}
	case <-time.After(10 * time.Second):
		t.Error("the other one is not looked up")
	}
}
