package pebblestore_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/pebblestore"
)

// golden names a state directory to write before those that are there are read: -golden=VERSION, once per version of the format, with
// the code that introduces it.
var golden = flag.String("golden", "", "write testdata/golden/VERSION, as this version leaves it")

// TestGoldenDirectories opens state that earlier versions left behind and finds all of it, and the positions, again; and once more after
// this version has written to it.
func TestGoldenDirectories(t *testing.T) {
	t.Parallel()
	if *golden != "" {
		writeGolden(t, filepath.Join("testdata", "golden", *golden))
	}
	dirs, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no golden directories: %v", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			copied := filepath.Join(t.TempDir(), "state")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			s := openGolden(t, copied)
			compareLines(t, s.content(t), goldenContent(goldenKeys))
			s.fill(t, goldenKeys, goldenKeys+1)
			s.close(t)
			s = openGolden(t, copied)
			compareLines(t, s.content(t), goldenContent(goldenKeys+1))
			s.close(t)
		})
	}
}

func compareLines(t *testing.T, got, want []string) {
	t.Helper()
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("missing: %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("not expected: %s", line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
}

func writeGolden(t *testing.T, dir string) {
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	s := openGolden(t, dir)
	s.fill(t, 0, goldenKeys/2)
	if err := s.db.Sync(); err != nil {
		t.Fatal(err)
	}
	s.fill(t, goldenKeys/2, goldenKeys)
	s.close(t)
	if err := os.Remove(filepath.Join(dir, "LOCK")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

const (
	goldenKeys = 40
	// goldenBase is an event time before 1970, so that signs are met.
	goldenBase = int64(-3000)
)

// goldenTime is the event time of what belongs to key i. Retention is longer than all of it.
func goldenTime(i int) int64 { return goldenBase + int64(i)*100 }

// goldenStores is one store of each kind, on one partition each.
type goldenStores struct {
	db       *state.DB
	keyValue *state.KeyValue[string, string]
	window   *state.Window[string, int64]
	session  *state.Session[string, string]
	join     *state.JoinWindow[string, string]
	versions *state.Versioned[string, string]
	parts    map[string]*state.Partition
}

func openGolden(t *testing.T, dir string) *goldenStores {
	t.Helper()
	e, err := pebblestore.Open(dir, pebblestore.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	db, err := state.NewDB(e, state.Config{Inline: true})
	if err != nil {
		t.Fatal(err)
	}
	s := &goldenStores{db: db, parts: make(map[string]*state.Partition)}
	str := serde.String
	s.keyValue = openStore[*state.KeyValue[string, string]](t, s, state.KeyValueSpec("key-value", str, str))
	s.window = openStore[*state.Window[string, int64]](t, s, state.WindowSpec("window", str, serde.Int64, time.Second, time.Hour))
	s.session = openStore[*state.Session[string, string]](t, s, state.SessionSpec("session", str, str, time.Hour, 0))
	s.join = openStore[*state.JoinWindow[string, string]](t, s, state.JoinWindowSpec("join", str, str, time.Second, time.Hour))
	s.versions = openStore[*state.Versioned[string, string]](t, s, state.VersionedSpec("versioned", str, str, time.Hour))
	return s
}

// goldenLog is the changelog that the positions speak of.
var goldenLog = state.Position{ClusterID: "golden cluster", TopicID: [16]byte{1, 2, 3}, Partition: 7}

// noChangelog keeps nothing: what is in the directory is what counts.
type noChangelog struct{}

func (noChangelog) Append(_, _ []byte, _ int64) error { return nil }

func openStore[L state.Layer](t *testing.T, s *goldenStores, spec *state.Spec) L {
	t.Helper()
	p, err := s.db.Partition(spec, goldenLog.Partition)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Position(); !ok {
		if err := p.Reset(goldenLog); err != nil {
			t.Fatal(err)
		}
	}
	l, err := spec.Open(state.Env{Committed: p, Changelog: noChangelog{}})
	if err != nil {
		t.Fatal(err)
	}
	s.parts[spec.Name] = p
	return l.(L)
}

func (s *goldenStores) close(t *testing.T) {
	t.Helper()
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// fill writes keys from to to, and deletes every fourth again after a commit.
func (s *goldenStores) fill(t *testing.T, from, to int) {
	t.Helper()
	none := serde.Headers{}
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	for i := from; i < to; i++ {
		key, at := goldenKey(i), goldenTime(i)
		check(s.keyValue.Put(key, fmt.Sprintf("value %d", i), at, none))
		check(s.window.Put(key, at-at%1000, int64(i), at, none))
		check(s.session.Put(key, at-50, at, fmt.Sprintf("session %d", i), at, none))
		check(s.join.Add(key, fmt.Sprintf("left %d", i), at, none))
		check(s.join.Add(key, fmt.Sprintf("left %d again", i), at, none))
		_, err := s.versions.Put(key, fmt.Sprintf("version %d", i), at)
		check(err)
		_, err = s.versions.Put(key, fmt.Sprintf("version %d later", i), at+10)
		check(err)
	}
	s.commit(t, to)
	for i := from; i < to; i++ {
		if key, at := goldenKey(i), goldenTime(i); goldenDeleted(i) {
			check(s.keyValue.Delete(key, at, none))
			check(s.window.Delete(key, at-at%1000, at, none))
			check(s.session.Delete(key, at-50, at, at, none))
			_, err := s.versions.Delete(key, at+20)
			check(err)
		}
	}
	s.commit(t, to)
}

func goldenKey(i int) string   { return fmt.Sprintf("key-%03d", i) }
func goldenDeleted(i int) bool { return i%4 == 3 }
func (s *goldenStores) layers() map[string]state.Layer {
	return map[string]state.Layer{
		"key-value": s.keyValue, "window": s.window, "session": s.session, "join": s.join, "versioned": s.versions,
	}
}

func (s *goldenStores) commit(t *testing.T, next int) {
	t.Helper()
	for name, l := range s.layers() {
		if err := l.Flush(); err != nil {
			t.Fatalf("flush %s: %v", name, err)
		}
		if err := l.Commit(int64(next)); err != nil {
			t.Fatalf("commit %s: %v", name, err)
		}
	}
}

// content is everything that the stores hold, and their positions, as sorted lines.
func (s *goldenStores) content(t *testing.T) (lines []string) {
	t.Helper()
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for row, err := range s.keyValue.Range(serde.None[string](), serde.None[string]()) {
		if err != nil {
			t.Fatal(err)
		}
		add("key-value %s %s at %d", row.Key, row.Value, row.Timestamp)
	}
	for row, err := range s.window.FetchAll(goldenBase-1000, 1<<40) {
		if err != nil {
			t.Fatal(err)
		}
		add("window %s@%d %d at %d", row.Key, row.Start, row.Value, row.Timestamp)
	}
	err := s.session.All(goldenBase-1000, 1<<40, func(r state.SessionRow[string, string]) error {
		add("session %s@%d-%d %s at %d", r.Key, r.Start, r.End, r.Value, r.Timestamp)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.join.All(func(key, v string, at int64) error { add("join %s %s at %d", key, v, at); return nil })
	if err != nil {
		t.Fatal(err)
	}
	err = s.versions.Each(func(key, v string, from, to int64) error {
		add("versioned %s %s from %d to %d", key, v, from, to)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range s.parts {
		pos, ok := p.Position()
		add("position %s %v %+v", name, ok, pos)
	}
	slices.Sort(lines)
	return lines
}

// goldenContent is what content returns of stores with the first n keys, computed apart from them.
func goldenContent(n int) (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	const forever = int64(1<<63 - 1)
	for i := range n {
		key, at := goldenKey(i), goldenTime(i)
		add("join %s left %d at %d", key, i, at)
		add("join %s left %d again at %d", key, i, at)
		add("versioned %s version %d from %d to %d", key, i, at, at+10)
		if goldenDeleted(i) {
			add("versioned %s version %d later from %d to %d", key, i, at+10, at+20)
			continue
		}
		add("versioned %s version %d later from %d to %d", key, i, at+10, forever)
		add("key-value %s value %d at %d", key, i, at)
		add("window %s@%d %d at %d", key, at-at%1000, i, at)
		add("session %s@%d-%d session %d at %d", key, at-50, at, i, at)
	}
	pos := goldenLog
	pos.Next = int64(n)
	for _, name := range []string{"key-value", "window", "session", "join", "versioned"} {
		add("position %s true %+v", name, pos)
	}
	slices.Sort(lines)
	return lines
}
