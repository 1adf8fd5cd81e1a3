package state_test

import (
	"fmt"
	"testing"
)

// TestManyWritesOfFewKeys: when the list of writes is shortened on the way, no write is lost, least of all the one that comes
// just then. The last key is written once, after every number of writes at which that may be.
func TestManyWritesOfFewKeys(t *testing.T) {
	t.Parallel()
	for n := 1000; n < 2200; n++ {
		s, _ := openKV(t)
		for i := range n {
			must(t, s.Put([]string{"a", "b"}[i%2], int64(i), int64(i), none))
		}
		must(t, s.Put("last", 1, int64(n), none))
		want := []string{
			fmt.Sprintf("%s: - > %d @%d", []string{"a", "b"}[n%2], n-2, n-2),
			fmt.Sprintf("%s: - > %d @%d", []string{"a", "b"}[(n-1)%2], n-1, n-1),
			fmt.Sprintf("last: - > 1 @%d", n),
		}
		equal(t, fmt.Sprintf("changes after %d writes", n), changesOf(t, s), want)
		must(t, s.Flush())
		must(t, s.Commit(1))
		if _, _, ok, err := s.Get("last"); err != nil || !ok {
			t.Fatalf("after %d writes the last key is gone: %v", n, err)
		}
	}
}
