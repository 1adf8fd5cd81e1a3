package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// mixedElements are elements of every sort, n of them: the loader must not care.
func mixedElements(n int) []string {
	elements := make([]string, n)
	for i := range elements {
		switch i % 5 {
		case 0:
			elements[i] = `null`
		case 1:
			elements[i] = `[ 1,  "two" ]`
		case 2:
			elements[i] = `{"origin" : 7}`
		default:
			elements[i] = `{"origin":"A` + string(rune('A'+i%26)) + `", "n": ` + grouped(int64(i))[:1] + `}`
		}
	}
	return elements
}

func writeArray(t *testing.T, elements []string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(file, []byte("["+strings.Join(elements, ",\n")+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// load starts a loader, as a process would, and lets it run until ctx ends or it is done.
func load(ctx context.Context, l testLog, src source, rate int) error {
	want, err := src.inspect(ctx)
	if err != nil {
		return err
	}
	ld, err := openLoader(ctx, l.connect, l.names, src, want, rate)
	if err != nil {
		return err
	}
	defer ld.Close()
	if err := ld.loadAirports(ctx); err != nil {
		return err
	}
	return ld.loadFlights(ctx)
}

// TestLoadingIsExactlyOnce cuts loaders off at random moments: their transactions stay open, as after a kill. In the end each
// element is in the log once.
func TestLoadingIsExactlyOnce(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, l testLog) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		elements := mixedElements(900)
		src := dataSource(writeArray(t, elements))
		cuts := 0
		for range 6 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+rng.IntN(300))*time.Millisecond)
			err := load(ctx, l, src, 2000)
			cancel()
			if err == nil {
				break
			}
			if ctx.Err() == nil {
				t.Fatal(err)
			}
			cuts++
		}
		if err := load(t.Context(), l, src, 0); err != nil {
			t.Fatal(err)
		}
		if err := load(t.Context(), l, src, 0); err != nil { // nothing left to do
			t.Fatal(err)
		}
		var got []string
		for _, r := range readAll(t, l, l.names.flights) {
			got = append(got, string(r.Value))
			if want := originOf(r.Value); !bytes.Equal(r.Key, want) || (r.Key == nil) != (want == nil) {
				t.Errorf("key %q of %s, want %q", r.Key, r.Value, want)
			}
		}
		slices.Sort(got)
		slices.Sort(elements)
		if !slices.Equal(got, elements) {
			t.Errorf("after %d cuts the log holds %d elements, want the %d of the file, each once", cuts, len(got), len(elements))
		}
		if n := len(readAll(t, l, l.names.airports)); n != 3376 {
			t.Errorf("%d airports, want 3376", n)
		}
		t.Logf("cut off %d times", cuts)
	})
}

func TestLoadingRefusesOtherData(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, l testLog) {
		first := writeArray(t, []string{"1", "2"})
		if err := load(t.Context(), l, dataSource(first), 0); err != nil {
			t.Fatal(err)
		}
		err := load(t.Context(), l, dataSource(writeArray(t, []string{"1", "3"})), 0)
		if err == nil {
			t.Fatal("other data was loaded")
		}
		for _, part := range []string{"other flights", first, "-data", "-dir"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q does not say %q", err, part)
			}
		}
		if n := len(readAll(t, l, l.names.flights)); n != 2 {
			t.Errorf("%d flights, want the 2 of before", n)
		}
	})
}

func TestLoaderIsShutOutByTheNext(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, l testLog) {
		src := dataSource(writeArray(t, mixedElements(50)))
		want, err := src.inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		old, err := openLoader(t.Context(), l.connect, l.names, src, want, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		if err := old.loadAirports(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := load(t.Context(), l, src, 0); err != nil {
			t.Fatal(err)
		}
		if err := old.loadFlights(t.Context()); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("the old loader went on: %v", err)
		}
		if n := len(readAll(t, l, l.names.flights)); n != 50 {
			t.Errorf("%d flights, want 50", n)
		}
	})
}

func TestBrokenDataIsRefusedBeforeAnythingIsLoaded(t *testing.T) {
	t.Parallel()
	src := source{name: "x.json", open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(`[{"a":1},{"a":2`)), nil
	}}
	if _, err := src.inspect(t.Context()); err == nil || !strings.Contains(err.Error(), "x.json is not a JSON array") {
		t.Errorf("got %v", err)
	}
	if _, err := dataSource(filepath.Join(t.TempDir(), "none")).inspect(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestPaceSpreadsTransactions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate     int
		batch    int64
		interval time.Duration
	}{
		{0, maxPerTransaction, 0},
		{1, 1, time.Second},
		{10, 1, 100 * time.Millisecond},
		{4000, 200, 50 * time.Millisecond},
		{4096000, maxPerTransaction, 500 * time.Microsecond},
	} {
		if p := newPace(c.rate); p.batch != c.batch || p.interval != c.interval {
			t.Errorf("rate %d: %d every %v, want %d every %v", c.rate, p.batch, p.interval, c.batch, c.interval)
		}
	}
}

// readAll returns every committed record of a topic.
func readAll(t *testing.T, l testLog, topic string) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(append(slices.Clone(l.connect), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := startReading(t.Context(), cl, topic)
	if err != nil {
		t.Fatal(err)
	}
	var records []*kgo.Record
	for len(ends) > 0 {
		fetches := cl.PollFetches(t.Context())
		if err := errors.Join(t.Context().Err(), fetches.Err()); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if r.Offset == ends[r.Partition]-1 {
				delete(ends, r.Partition)
			}
		})
	}
	return records
}

// createAll makes the topics of a test's log.
func createAll(t *testing.T, l testLog, partitions int32) {
	t.Helper()
	cl, err := kgo.NewClient(l.connect...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := createTopics(t.Context(), kadm.NewClient(cl), l.names, partitions, true); err != nil {
		t.Fatal(err)
	}
}
