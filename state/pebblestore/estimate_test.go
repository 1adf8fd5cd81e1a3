package pebblestore_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// TestEstimate: the estimate of a store's entries is near the truth, among other stores in the same tables, after deletes, and when
// the store was removed.
func TestEstimate(t *testing.T) {
	t.Parallel()
	e := open(t, vfs.NewMem())
	db, err := state.NewDB(e, state.Config{Inline: true, CacheBytes: 64 << 10, Logger: quiet})
	must(t, err)
	spec := state.KeyValueSpec("counts", stringSerde{}, stringSerde{})
	stores := make([]*state.KeyValue[string, string], 3)
	for i := range stores {
		p, err := db.Partition(spec, int32(i))
		must(t, err)
		must(t, p.Reset(state.Position{ClusterID: "c"}))
		l, err := spec.Open(state.Env{Committed: p, Changelog: &crashStore{}})
		must(t, err)
		stores[i] = l.(*state.KeyValue[string, string])
	}
	write := func(store, from, to int, f func(s *state.KeyValue[string, string], key string) error) {
		t.Helper()
		s := stores[store]
		for i := from; i < to; i++ {
			must(t, f(s, fmt.Sprintf("key%06d", i*7919%1_000_000)))
		}
		must(t, s.Flush())
		must(t, s.Commit(int64(to)))
	}
	put := func(s *state.KeyValue[string, string], key string) error {
		return s.Put(key, "a value of some length", 1, serde.Headers{})
	}
	remove := func(s *state.KeyValue[string, string], key string) error { return s.Delete(key, 2, serde.Headers{}) }
	near := func(store int, want float64) {
		t.Helper()
		n, err := stores[store].ApproximateNumEntries()
		must(t, err)
		if got := float64(n); got < 0.8*want || got > 1.25*want {
			t.Errorf("store %d: about %v entries, there are %v", store, got, want)
		}
	}
	for part := range 4 { // so that each table has some of all stores
		write(0, part*500, part*500+500, put)
		write(1, part*10_000, part*10_000+10_000, put)
		write(2, part*5_000, part*5_000+5_000, put)
		must(t, db.Sync())
	}
	near(0, 2_000)
	near(1, 40_000)
	write(2, 0, 10_000, remove)
	must(t, db.Sync())
	near(2, 10_000)
	write(1, 0, 10_000, remove) // counted, not estimated
	near(1, 30_000)

	must(t, db.Close())
	if _, err := e.Estimate([]byte("a"), []byte("b")); !errors.Is(err, state.ErrClosed) {
		t.Errorf("after the close: %v, want ErrClosed", err)
	}
}
