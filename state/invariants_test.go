//go:build invariants

package state_test

import (
	"strings"
	"testing"
)

// TestMutationWithoutWrite: a value that user code changes and does not write back stops the commit.
func TestMutationWithoutWrite(t *testing.T) {
	t.Parallel()
	s, _ := openDocs(t)
	must(t, s.Put("k", &doc{[]string{"a"}}, 0, none))
	must(t, commit(s, 1))
	e, err := s.At("k")
	must(t, err)
	d, _ := e.Value()
	d.words[0] = "changed"
	if err := commit(s, 2); err == nil || !strings.Contains(err.Error(), "changed without a write") {
		t.Errorf("%v, want a complaint", err)
	}
}
