package commitlog

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestAsync acknowledges without a sync: a crash of the process loses nothing, one of the machine only the end, and clients can tell by
// the leader epoch that something may be gone.
func TestAsync(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	cfg := testConfig(fs)
	cfg.Durability = Async
	m := newTxnMachine()
	l := open(t, cfg, m)
	topic := create(t, l, "t", 1, nil)
	p := l.Partition(topic.ID, 0)
	for range 20 {
		plain(5, 20).append(t, l, p)
	}
	if err := l.checkpoint(false); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		plain(5, 20).append(t, l, p)
	}
	if o := p.Offsets(); o.HighWatermark != 200 {
		t.Fatalf("offsets %+v", o)
	}
	for percent, end := range map[int]int64{0: 100, 100: 200} {
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
		cfg := cfg
		cfg.FS = crashed
		l := open(t, cfg, newTxnMachine())
		p := l.Partition(topic.ID, 0)
		if o := p.Offsets(); o.HighWatermark != end || o.End != end {
			t.Errorf("%d %% of what was not synced: offsets %+v, want %d", percent, o, end)
		}
		if got := p.LeaderEpoch(); got != 1 {
			t.Errorf("leader epoch %d", got)
		}
		res := plain(1, 20).append(t, l, p)
		if epoch, at, ok := p.EpochEnd(0); epoch != 0 || at != end || !ok {
			t.Errorf("epoch 0 ends at %d, %v", at, ok)
		}
		if epoch, at, ok := p.EpochEnd(1); epoch != 1 || at != res.BaseOffset+1 || !ok {
			t.Errorf("epoch 1 ends at %d, %v", at, ok)
		}
		if _, _, ok := p.EpochEnd(2); ok {
			t.Error("epoch 2 is known")
		}
		headers, _, _ := readAll(t, p, 0, ReadCommitted)
		if last := headers[len(headers)-1]; last.LeaderEpoch != 1 || last.NextOffset() != end+1 {
			t.Errorf("last batch %+v", last)
		}
		// A clean stop loses nothing, and needs no new epoch.
		l = reopen(t, l, newTxnMachine())
		if got := l.Partition(topic.ID, 0).LeaderEpoch(); got != 1 {
			t.Errorf("leader epoch %d after a clean stop", got)
		}
	}
}
