package state_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/state"
)

// lists opens a store of lists, over what its changelog holds.
func lists(t testing.TB, spec *state.Spec) (*state.ListValue[string, string], *state.Partition, *journal) {
	t.Helper()
	j := &journal{}
	p := openPartition(t, openDB(t, newEngine(), state.Config{Inline: true}), spec)
	return openLayer[*state.ListValue[string, string]](t, p, spec, j), p, j
}

var listSpec = state.ListValueSpec("lists", stringSerde{}, stringSerde{})

func values(t testing.TB, l state.List[string]) (all []string) {
	t.Helper()
	for v, err := range l.All() {
		must(t, err)
		all = append(all, v)
	}
	return all
}

// TestListChangelog: a list is one record, in Kafka Streams' format, and its removal a tombstone (D-110, S-23).
func TestListChangelog(t *testing.T) {
	t.Parallel()
	s, _, j := lists(t, listSpec)
	add := func(v string, ts int64) {
		t.Helper()
		must(t, s.Add("a", v, ts, none))
	}
	add("one", 10)
	add("", 12)
	must(t, s.Flush())
	must(t, s.Commit(1))
	add("three", 11)
	must(t, s.Flush())
	must(t, s.Commit(2))
	removed, err := s.Remove("a", 13, none)
	must(t, err)
	again, err := s.Remove("a", 14, none)
	must(t, err)
	if !removed || again {
		t.Errorf("removed: %v, then %v", removed, again)
	}
	must(t, s.Flush())
	must(t, s.Commit(3))
	two := "\x01\x00\x00\x00\x02\x00\x00\x00\x03one\x00\x00\x00\x00"
	equal(t, "changelog", j.take(), []string{
		fmt.Sprintf("%q = %q @12", "a", two),
		fmt.Sprintf("%q = %q @11", "a", strings.Replace(two, "\x02", "\x03", 1)+"\x00\x00\x00\x05three"),
		`"a" = null @13`,
	})
}

// TestListOfKafka: a list that Kafka Streams has logged is restored, and added to.
func TestListOfKafka(t *testing.T) {
	t.Parallel()
	s, p, _ := lists(t, listSpec)
	must(t, p.Restore([]byte("k"), []byte("\x01\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x02bc"), 5))
	must(t, p.RestoredTo(1))
	must(t, s.Add("k", "d", 6, none))
	l, err := s.Get("k")
	must(t, err)
	equal(t, "list", values(t, l), []string{"a", "bc", "d"})
	s.Drop()
	l, err = openLayer[*state.ListValue[string, string]](t, p, listSpec, &journal{}).Get("k")
	must(t, err)
	equal(t, "list after the transaction was dropped", values(t, l), []string{"a", "bc"})
}

// TestListOfNothing: bytes that are no list are an error where they are read, and where something is added.
func TestListOfNothing(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"\x01", "\x00\x00\x00\x00\x00", "\x01\x00\x00\x00\x01", "\x01\x00\x00\x00\x01\xff\xff\xff\xff", "\x01\x00\x00\x00\x00x"} {
		s, p, _ := lists(t, listSpec)
		must(t, p.Restore([]byte("k"), []byte(bad), 5))
		must(t, p.RestoredTo(1))
		l, err := s.Get("k")
		must(t, err)
		for _, err = range l.All() {
			if err != nil {
				break
			}
		}
		if err == nil {
			t.Errorf("%q is read as a list", bad)
		}
	}
	s, p, _ := lists(t, listSpec)
	must(t, p.Restore([]byte("k"), []byte("no list"), 5))
	must(t, p.RestoredTo(1))
	if err := s.Add("k", "v", 6, none); err == nil {
		t.Error("a value was added to what is no list")
	}
}

// FuzzList: whatever stands in a changelog is read without a panic, and never gives more than it has bytes for.
func FuzzList(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x00"))
	f.Add([]byte("\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		s, p, _ := lists(t, listSpec)
		must(t, p.Restore([]byte("k"), append([]byte{}, stored...), 5))
		must(t, p.RestoredTo(1))
		l, err := s.Get("k")
		must(t, err)
		n := 0
		for v, err := range l.All() {
			if err != nil {
				return
			}
			n += 4 + len(v)
		}
		if len(stored) > 0 && n != len(stored)-5 {
			t.Errorf("%d bytes of entries in %d", n, len(stored))
		}
	})
}
