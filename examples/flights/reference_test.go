package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// reference computes the result rows from the input in plain Go, the way one would do it without a stream processor: read
// all, add up in maps, print. It shares no code with the pipeline, and reads the airports itself.
func reference(tb testing.TB, flights io.Reader) string {
	tb.Helper()
	city := make(map[string]string)
	for _, row := range airportRows(tb)[1:] {
		city[row[0]] = row[2] + ", " + row[3]
	}
	var elements []any
	if err := json.NewDecoder(flights).Decode(&elements); err != nil {
		tb.Fatal(err)
	}
	type key struct {
		city string
		hour int64
	}
	type sums struct{ flights, delayed, total, greatest int }
	hours, routes := make(map[key]sums), make(map[string]sums)
	for _, e := range elements {
		m, _ := e.(map[string]any)
		date, _ := m["date"].(string)
		origin, _ := m["origin"].(string)
		destination, ok1 := m["destination"].(string)
		delay, ok2 := m["delay"].(float64)
		distance, ok3 := m["distance"].(float64)
		departure, err := time.Parse("2006/01/02 15:04", date)
		c, known := city[origin]
		if err != nil || !known || !ok1 || !ok2 || !ok3 {
			continue
		}
		k := key{c, departure.Unix() / 3600 * 3600}
		h, ok := hours[k]
		if h.flights++; delay >= 15 {
			h.delayed++
		}
		if h.total += int(delay); !ok || int(delay) > h.greatest {
			h.greatest = int(delay)
		}
		hours[k] = h
		r := routes[origin+"-"+destination]
		r.flights++
		r.total += int(delay)
		r.greatest = max(r.greatest, int(distance))
		routes[origin+"-"+destination] = r
	}
	var out strings.Builder
	for _, k := range slices.SortedFunc(maps.Keys(hours), func(a, b key) int {
		if a.city != b.city {
			return strings.Compare(a.city, b.city)
		}
		return int(a.hour - b.hour)
	}) {
		h := hours[k]
		fmt.Fprintf(&out, `{"table":"delays-by-city-hour","city":%q,"window_start":"%s","flights":%d,"delayed":%d,"total_delay":%d,"max_delay":%d}`+"\n",
			k.city, time.Unix(k.hour, 0).UTC().Format(time.RFC3339), h.flights, h.delayed, h.total, h.greatest)
	}
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		r := routes[name]
		fmt.Fprintf(&out, `{"table":"routes","route":%q,"flights":%d,"total_delay":%d,"distance":%d}`+"\n", name, r.flights, r.total, r.greatest)
	}
	return out.String()
}

func airportRows(tb testing.TB) [][]string {
	tb.Helper()
	f, err := os.Open("data/airports.csv.zst")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := zstd.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	defer z.Close()
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	return rows
}

// referenceOfEmbedded is the reference of the example's own flights.
func referenceOfEmbedded(tb testing.TB) string {
	tb.Helper()
	f, err := os.Open("data/flights-20k.json.zst")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := zstd.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	defer z.Close()
	return reference(tb, z)
}

// sameRows fails the test at the first line that differs.
func sameRows(tb testing.TB, got, want string) {
	tb.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			tb.Fatalf("row %d of %d:\n got %s\nwant %s", i, len(g)-1, g[i], w[i])
		}
	}
	tb.Fatalf("%d rows, want %d", len(g)-1, len(w)-1)
}

// TestReference looks at the reference itself: the totals are those of the input.
func TestReference(t *testing.T) {
	t.Parallel()
	rows := referenceOfEmbedded(t)
	var flights, lines int
	dec := json.NewDecoder(strings.NewReader(rows))
	for {
		var row struct {
			Table   string
			Flights int
		}
		err := dec.Decode(&row)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		flights += row.Flights
		lines++
	}
	if flights != 2*20_000 || lines != 17_300+2_977 {
		t.Errorf("%d flights in %d rows, want 40000 in 20277", flights, lines)
	}
	first := `{"table":"delays-by-city-hour","city":"Detroit, MI","window_start":"2001-01-01T00:00:00Z","flights":1,"delayed":1,"total_delay":66,"max_delay":66}`
	if !strings.Contains(rows, first) {
		t.Errorf("no row %s", first)
	}
}
