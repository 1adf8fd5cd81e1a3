package pebblestore_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestDiskFull: when the disk takes no more, commits stop with an error that says why, and go on doing so. What is on the disk is each
// store as of some commit, from which its changelog goes on; with room again, nothing is missing.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, part := range []string{".sst", "MANIFEST", ""} { // of the names of the files that cannot be written
		t.Run("files "+part, func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewCrashableMem()
			var full atomic.Bool
			enospc := errors.New("no space left on device")
			w := openCrashWorld(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.Contains(op.Path, part) {
					return enospc
				}
				return nil
			})))
			for range 200 {
				w.commit(t)
			}
			must(t, w.db.Sync())
			full.Store(true)
			var err error
			taken := 0 // by memory
			for ; taken < 2000; taken++ {
				if err = w.tryCommit(); err != nil {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), enospc.Error()) {
				t.Fatalf("%v, want %v", err, enospc)
			}
			if again := w.tryCommit(); again == nil {
				t.Error("a commit after the failure succeeds")
			}
			_ = w.db.Close()  // says the same
			full.Store(false) // what is left of the engine would try again for ever
			if behind := w.check(t, mem.CrashClone(vfs.CrashCloneCfg{}), "after the failure"); !behind && taken > 0 {
				t.Errorf("%d commits later nothing is missing: the disk was not full", taken)
			}
			for _, s := range w.stores {
				if len(s.records) == 0 {
					t.Errorf("nothing was committed to %s-%d", s.spec.Name, s.partition)
				}
			}
		})
	}
}
