package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestBench runs the whole on few records: the figures mean nothing, but each job must go through.
func TestBench(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"-records", "20000"}, &out, &log); err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs() {
		if !strings.Contains(out.String(), j.name) {
			t.Errorf("no row for %s:\n%s", j.name, out.String())
		}
	}
}

func TestInputIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	a, b := input(1000), input(1000)
	keys := make(map[string]bool)
	for i := range a {
		if !bytes.Equal(a[i].key, b[i].key) || !bytes.Equal(a[i].value, b[i].value) {
			t.Fatalf("record %d differs", i)
		}
		if len(a[i].key) != keyBytes || len(a[i].value) != valueBytes {
			t.Fatalf("record %d: %d and %d bytes", i, len(a[i].key), len(a[i].value))
		}
		keys[string(a[i].key)] = true
	}
	if len(keys) < 900 {
		t.Errorf("%d keys in 1000 records", len(keys))
	}
}
