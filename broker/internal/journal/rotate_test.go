package journal

import (
	"testing"
)

// TestRotateAtOnce rotates again before the committer has come to the first rotation: each snapshot that names an epoch must find
// its file.
func TestRotateAtOnce(t *testing.T) {
	t.Parallel()
	fs := newDir(t)
	j := openJournal(t, fs, 1, 0)
	enqueue(t, j, 3, true)
	for epoch := uint64(2); epoch < 200; epoch++ {
		if err := j.Prepare(epoch); err != nil {
			t.Fatal(err)
		}
		lsn, err := j.Rotate()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Rotate(); err == nil {
			t.Fatal("rotated without a prepared file")
		}
		if err := j.Release(epoch); err != nil {
			t.Fatal(err)
		}
		if _, err := replayAll(fs, Start{epoch, lsn}); err != nil {
			t.Fatal(err)
		}
	}
	enqueue(t, j, 5, true)
	closeJournal(t, j)
	if got, err := replayAll(fs, Start{199, 3}); err != nil || got.Last != 5 {
		t.Fatalf("%+v, %v", got, err)
	}
}
