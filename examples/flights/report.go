package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/examples/flights/data"
)

// worstRows is how many rows of each table the report shows.
const worstRows = 10

// fewFlights is how many flights a route needs for its average delay to mean something.
const fewFlights = 10

// summary is what one run of the example did.
type summary struct {
	source        string
	total         int64 // flights that the log now holds
	loaded        int64 // of them by this run
	airports      int
	read, written int64 // records of the pipeline in this run
	commits       int64
	dropped       []dropCount
	took, loading time.Duration
	log           string // in words
}

// dropCount is how many records were left out for one reason.
type dropCount struct {
	reason string
	n      int64
}

// writeReport writes the results for a person.
func writeReport(w io.Writer, r *results, s *summary) error {
	b := bufio.NewWriter(w)
	writeHours(b, r.hours)
	if err := writeRoutes(b, r.routes); err != nil {
		return err
	}
	writeSummary(b, r, s)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func writeHours(w *bufio.Writer, hours []hour) {
	worst := top(hours, func(a, b hour) int { return cmp.Compare(b.TotalDelay, a.TotalDelay) })
	fmt.Fprintf(w, "\nThe worst hours by city: most minutes lost\n\n")
	if len(worst) == 0 {
		fmt.Fprintln(w, "  no flights")
		return
	}
	fmt.Fprintf(w, "  %-24s %-22s %8s %8s %8s %8s\n", "city", "hour of departure", "flights", "delayed", "minutes", "longest")
	for _, h := range worst {
		fmt.Fprintf(w, "  %-24s %-22s %8s %8s %8s %8s  %s\n", clip(h.City, 24), h.Window.Format("Mon 2 Jan 2006, 15:04"),
			grouped(h.Flights), grouped(h.Delayed), grouped(h.TotalDelay), grouped(h.MaxDelay),
			bar(float64(h.TotalDelay), float64(worst[0].TotalDelay)))
	}
}

func writeRoutes(w *bufio.Writer, routes []route) error {
	counted := slices.DeleteFunc(slices.Clone(routes), func(r route) bool { return r.Flights < fewFlights })
	heading := fmt.Sprintf("of %d flights or more", fewFlights)
	if len(counted) == 0 {
		counted, heading = routes, "however few their flights"
	}
	worst := top(counted, func(a, b route) int { return cmp.Compare(b.average(), a.average()) })
	fmt.Fprintf(w, "\nThe worst routes: longest average delay, routes %s\n\n", heading)
	if len(worst) == 0 {
		fmt.Fprintln(w, "  no flights")
		return nil
	}
	city, err := cities()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  %-8s %-38s %8s %8s %8s %8s\n", "route", "", "flights", "miles", "minutes", "average")
	for _, r := range worst {
		origin, destination, _ := strings.Cut(r.Name, "-")
		fmt.Fprintf(w, "  %-8s %-38s %8s %8s %8s %8.1f  %s\n", clip(r.Name, 8), clip(city(origin)+" to "+city(destination), 38),
			grouped(r.Flights), grouped(r.Distance), grouped(r.TotalDelay), r.average(), bar(r.average(), worst[0].average()))
	}
	return nil
}

// cities returns a function that tells the city of an airport, or else repeats its code.
func cities() (func(iata string) string, error) {
	airports, err := data.Airports()
	if err != nil {
		return nil, err
	}
	city := make(map[string]string, len(airports))
	for _, a := range airports {
		city[a.IATA] = a.City
	}
	return func(iata string) string { return cmp.Or(city[iata], iata) }, nil
}

func (r route) average() float64 { return float64(r.TotalDelay) / float64(r.Flights) }

func writeSummary(w *bufio.Writer, r *results, s *summary) {
	loaded := grouped(s.loaded) + " of them now"
	switch s.loaded {
	case s.total:
		loaded = "all of them now"
	case 0:
		loaded = "all of them before"
	}
	fmt.Fprintf(w, "\n  %-8s %s flights (%s), loaded %s; %s airports\n", "input", grouped(s.total), s.source, loaded, grouped(int64(s.airports)))
	fmt.Fprintf(w, "  %-8s %s records from the log, %s commits\n", "read", grouped(s.read), grouped(s.commits))
	fmt.Fprintf(w, "  %-8s %s records to the log; the results are %s hours and %s routes\n", "written", grouped(s.written),
		grouped(int64(len(r.hours))), grouped(int64(len(r.routes))))
	fmt.Fprintf(w, "  %-8s %s\n", "dropped", droppedText(s.dropped))
	fmt.Fprintf(w, "  %-8s %s, %s\n\n", "took", tookText(s), s.log)
}

func droppedText(dropped []dropCount) string {
	if len(dropped) == 0 {
		return "nothing"
	}
	var total int64
	parts := make([]string, len(dropped))
	for i, d := range dropped {
		total += d.n
		parts[i] = grouped(d.n) + " " + d.reason
	}
	return grouped(total) + ": " + strings.Join(parts, ", ")
}

func tookText(s *summary) string {
	text := fmt.Sprintf("%.2f s", s.took.Seconds())
	if s.loaded > 0 {
		text += fmt.Sprintf(", %.2f s of it until all was loaded", s.loading.Seconds())
	}
	if s.read > 0 && s.took > 0 {
		text += fmt.Sprintf(", %s records/s", grouped(int64(float64(s.read)/s.took.Seconds())))
	}
	return text
}

// top returns the first rows in the order of worse; rows that are equally bad keep their order.
func top[T any](rows []T, worse func(a, b T) int) []T {
	sorted := slices.Clone(rows)
	slices.SortStableFunc(sorted, worse)
	return sorted[:min(worstRows, len(sorted))]
}

// bar draws v as a line that is twelve characters long for longest.
func bar(v, longest float64) string {
	if v <= 0 || longest <= 0 {
		return ""
	}
	const width, eighths = 12, "▏▎▍▌▋▊▉█"
	n := int(math.Round(v / longest * width * 8))
	full, rest := n/8, n%8
	s := strings.Repeat("█", full)
	if rest > 0 {
		s += string([]rune(eighths)[rest-1])
	}
	return s
}

// grouped writes 12345 as 12,345.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

func clip(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return s
}
