package journal

import (
	"testing"
)

// FuzzReplay replays anything as a journal file: it either fails, or gives entries in order.
func FuzzReplay(f *testing.F) {
	fs := newDir(f)
	j := openJournal(f, fs, 1, 0)
	enqueue(f, j, 5, true)
	enqueue(f, j, 9, false)
	closeJournal(f, j)
	f.Add(read(f, fs, fileName(1)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := newDir(t)
		write(t, fs, fileName(1), b)
		next := LSN(0)
		r, err := Replay(fs, "j", owner, Start{1, 0}, func(lsn LSN, _ []byte) error {
			if next++; lsn != next {
				t.Fatalf("entry %d after %d", lsn, next-1)
			}
			return nil
		}, func() error { return nil })
		if err == nil && r.Last != next {
			t.Fatalf("last entry %d, replayed up to %d", r.Last, next)
		}
		if _, err := Used(fs, "j"); err != nil {
			t.Fatal(err)
		}
	})
}
