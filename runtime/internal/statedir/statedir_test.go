package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstanceSurvivesReopen(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d, err := Open(root, "app")
	if err != nil {
		t.Fatal(err)
	}
	id := d.InstanceID()
	if id == "" || d.Slots() != 0 {
		t.Fatalf("new directory: id %q, %d slots", id, d.Slots())
	}
	if err := d.RecordSlots(3); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, err = Open(root, "app")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if d.InstanceID() != id || d.Slots() != 3 {
		t.Fatalf("reopened: id %q, %d slots; want %q, 3", d.InstanceID(), d.Slots(), id)
	}
}

func TestOpenRefusesHeldDirectory(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d, err := Open(root, "app")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	_, err = Open(root, "app")
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("second Open: %v, want ErrLocked", err)
	}
	for _, part := range []string{filepath.Join(root, "app"), "another process holds it"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	other, err := Open(root, "other")
	if err != nil {
		t.Fatalf("another application under the same root: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesBadRecords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, record, want string }{
		{"torn", `{"format":1,"inst`, "damaged"},
		{"empty", ``, "damaged"},
		{"newer", `{"format":2,"instance_id":"a","slots":1}`, "newer"},
		{"no id", `{"format":1}`, "no instance id"},
		{"no format", `{"instance_id":"a"}`, "no format version"},
		{"slots", `{"format":1,"instance_id":"a","slots":1000000}`, "recorded slots"},
		{"no such slots", `{"format":1,"instance_id":"a","slots":-1}`, "recorded slots"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := filepath.Join(root, "app")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, recordName), []byte(tc.record), 0o644); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the first refusal gives the lock back
				if _, err := Open(root, "app"); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Fatalf("Open: %v, want an error with %q", err, tc.want)
				}
			}
		})
	}
}

// A crash between writing aside and renaming leaves the old record in force.
func TestHalfWrittenRecordIsIgnored(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d, err := Open(root, "app")
	if err != nil {
		t.Fatal(err)
	}
	id := d.InstanceID()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Path(), recordName+".tmp"), []byte(`{"for`), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err = Open(root, "app")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	if d.InstanceID() != id {
		t.Fatalf("instance id %q, want %q", d.InstanceID(), id)
	}
}

// What is recorded is known at once, in both directions; what could not be recorded is not.
func TestRecordedSlots(t *testing.T) {
	t.Parallel()
	d, err := Open(t.TempDir(), "app")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	for _, n := range []int{3, 0, maxSlots} {
		if err := d.RecordSlots(n); err != nil || d.Slots() != n {
			t.Fatalf("%d slots, %v; want %d", d.Slots(), err, n)
		}
		if r, err := readRecord(d.Path()); err != nil || r.Slots != n || r.InstanceID != d.InstanceID() {
			t.Fatalf("on disk %+v, %v; want %d slots of %s", r, err, n, d.InstanceID())
		}
	}
	if err := os.Mkdir(filepath.Join(d.Path(), recordName+".tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := d.RecordSlots(1); err == nil || d.Slots() != maxSlots {
		t.Fatalf("%d slots, %v; want an error, and %d", d.Slots(), err, maxSlots)
	}
}

// Two instances that shared an id would share their transactions.
func TestInstanceIDsDiffer(t *testing.T) {
	t.Parallel()
	if a, b := NewInstanceID(), NewInstanceID(); a == b || len(a) != 16 {
		t.Errorf("instance ids %q and %q", a, b)
	}
}
