package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/window"
)

// hour is one row of the result table delays-by-city-hour.
type hour struct {
	City   string
	Window time.Time // its start, UTC
	HourStats
}

// route is one row of the result table routes.
type route struct {
	Name string // ORG-DST
	RouteStats
}

// results are the two result tables: hours by city, then window; routes by name; strings in byte order.
type results struct {
	hours  []hour
	routes []route
}

// readResults reads the result topics: read committed, last value per key.
func readResults(ctx context.Context, connect []kgo.Opt, n names) (results, error) {
	var res results
	table, err := readTable(ctx, connect, n.delays)
	if err != nil {
		return results{}, err
	}
	keys, values := cityHourKeys, serde.JSON[HourStats]()
	for k, v := range table {
		key, err := keys.Decode([]byte(k))
		if err != nil {
			return results{}, fmt.Errorf("read topic %s: %w", n.delays, err)
		}
		stats, err := values.Decode(v)
		if err != nil {
			return results{}, fmt.Errorf("read topic %s: %w", n.delays, err)
		}
		res.hours = append(res.hours, hour{City: key.Key, Window: key.StartTime(), HourStats: stats})
	}
	if table, err = readTable(ctx, connect, n.routes); err != nil {
		return results{}, err
	}
	totals := serde.JSON[RouteStats]()
	for k, v := range table {
		total, err := totals.Decode(v)
		if err != nil {
			return results{}, fmt.Errorf("read topic %s: %w", n.routes, err)
		}
		res.routes = append(res.routes, route{Name: k, RouteStats: total})
	}
	res.sort()
	return res, nil
}

func (r *results) sort() {
	slices.SortFunc(r.hours, func(a, b hour) int {
		return cmp.Or(cmp.Compare(a.City, b.City), a.Window.Compare(b.Window))
	})
	slices.SortFunc(r.routes, func(a, b route) int { return cmp.Compare(a.Name, b.Name) })
}

// writeJSON writes each row as one line of JSON: hours first, then routes.
func (r *results) writeJSON(w io.Writer) error {
	buffered := bufio.NewWriter(w)
	lines := json.NewEncoder(buffered)
	lines.SetEscapeHTML(false)
	for _, h := range r.hours {
		err := lines.Encode(struct {
			Table  string    `json:"table"`
			City   string    `json:"city"`
			Window time.Time `json:"window_start"`
			HourStats
		}{"delays-by-city-hour", h.City, h.Window, h.HourStats})
		if err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	for _, t := range r.routes {
		err := lines.Encode(struct {
			Table string `json:"table"`
			Route string `json:"route"`
			RouteStats
		}{"routes", t.Name, t.RouteStats})
		if err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// cityHourKeys is the format of the keys of delays-by-city-hour.
var cityHourKeys = window.KeySerde(serde.String, time.Hour)
