package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/examples/flights/data"
	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// testJob is the example's topology without a log: the test driver runs it.
type testJob struct {
	names    names
	driver   *topologytest.Driver
	flights  *topologytest.Input[string, []byte]
	enriched *topologytest.Output[string, Leg]
	log      bytes.Buffer
}

func newTestJob(t *testing.T, options ...topologytest.Option) *testJob {
	t.Helper()
	j := &testJob{names: namesWith("")}
	top, err := pipeline(j.names)
	if err != nil {
		t.Fatal(err)
	}
	options = append(options,
		topologytest.ApplicationID(j.names.app),
		topologytest.OnDeserialization(func(topologytest.Failure) topologytest.Response { return topologytest.Continue }),
		topologytest.Logger(slog.New(slog.NewTextHandler(&j.log, nil))))
	j.driver = topologytest.New(t, top, options...)
	airports, err := data.Airports()
	if err != nil {
		t.Fatal(err)
	}
	table := topologytest.NewInput(j.driver, j.names.airports, serde.String, serde.JSON[data.Airport]())
	for _, a := range airports {
		table.Pipe(a.IATA, a)
	}
	j.flights = topologytest.NewInput(j.driver, j.names.flights, serde.String, serde.Bytes)
	j.enriched = topologytest.NewOutput(j.driver, j.names.enriched, serde.String, serde.JSON[Leg]())
	return j
}

// pipe loads one element as the loader would.
func (j *testJob) pipe(element []byte) {
	r := topology.NewRecord(string(originOf(element)), element, 1)
	if originOf(element) == nil {
		r = r.WithoutKey()
	}
	j.flights.PipeRecord(r)
}

// rows returns the result rows in the format of -json.
func (j *testJob) rows(t *testing.T) string {
	t.Helper()
	var res results
	hours := topologytest.NewOutput(j.driver, j.names.delays, cityHourKeys, serde.JSON[HourStats]())
	for key, stats := range topologytest.Latest[window.Windowed[string]](hours) {
		res.hours = append(res.hours, hour{City: key.Key, Window: key.StartTime(), HourStats: stats})
	}
	for name, stats := range topologytest.Latest(topologytest.NewOutput(j.driver, j.names.routes, serde.String, serde.JSON[RouteStats]())) {
		res.routes = append(res.routes, route{Name: name, RouteStats: stats})
	}
	res.sort()
	var out strings.Builder
	if err := res.writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPipelineEnriches(t *testing.T) {
	t.Parallel()
	j := newTestJob(t)
	j.pipe([]byte(`{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS"}`))
	r := j.enriched.Read()
	departure := time.Date(2001, 1, 1, 0, 47, 0, 0, time.UTC).UnixMilli()
	if r.Key != "Detroit, MI" || r.Value != (Leg{"DTW", "LAS", 66, 1750}) || r.Timestamp != departure {
		t.Errorf("enriched to %+v", r)
	}
	want := `{"table":"delays-by-city-hour","city":"Detroit, MI","window_start":"2001-01-01T00:00:00Z","flights":1,"delayed":1,"total_delay":66,"max_delay":66}
{"table":"routes","route":"DTW-LAS","flights":1,"total_delay":66,"distance":1750}
`
	sameRows(t, j.rows(t), want)
}

// TestPipelineComputesTheReference runs all the flights, once in the order of the file and once backwards: the grace period
// covers any skew.
func TestPipelineComputesTheReference(t *testing.T) {
	t.Parallel()
	f, err := data.Flights()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var elements []json.RawMessage
	if err := json.NewDecoder(f).Decode(&elements); err != nil {
		t.Fatal(err)
	}
	want := referenceOfEmbedded(t)
	for _, order := range []string{"forwards", "backwards"} {
		if order == "backwards" {
			slices.Reverse(elements)
		}
		j := newTestJob(t, topologytest.ManualCommit())
		for i, e := range elements {
			if j.pipe(e); i%1000 == 0 {
				j.driver.Commit()
			}
		}
		j.driver.Commit()
		if n := j.driver.Dropped(); n != 0 {
			t.Errorf("%s: %d records dropped", order, n)
		}
		sameRows(t, j.rows(t), want)
	}
}

// badElements are elements that the pipeline must leave out, by reason.
var badElements = map[topology.Reason][]string{
	reasonNotObject:     {`null`, `17`, `"DTW"`, `[{"date":"2001/01/01 00:47"}]`},
	reasonMissingField:  {`{}`, `{"date":"2001/01/01 00:47","delay":1,"distance":2,"origin":"DTW"}`},
	reasonBadField:      {`{"date":"2001/01/01 00:47","delay":"late","distance":2,"origin":"DTW","destination":"LAS"}`},
	reasonBadDate:       {`{"date":"2001/13/01 00:47","delay":1,"distance":2,"origin":"DTW","destination":"LAS"}`},
	reasonUnknownOrigin: {`{"date":"2001/01/01 00:47","delay":1,"distance":2,"origin":"???","destination":"LAS"}`},
}

func TestPipelineDropsBadFlightsByReason(t *testing.T) {
	t.Parallel()
	j := newTestJob(t)
	want := make(map[topology.Reason]int64)
	offset := 0
	pipe := func(reason topology.Reason, element string) {
		before := j.log.Len()
		j.pipe([]byte(element))
		line := j.log.String()[before:]
		for _, part := range []string{"topic=flights", "partition=0", fmt.Sprintf("offset=%d", offset), string(reason)} {
			if !strings.Contains(line, part) {
				t.Errorf("%s: log line %q does not say %q", element, line, part)
			}
		}
		want[reason]++
		offset++
	}
	for reason, elements := range badElements {
		for _, e := range elements {
			pipe(reason, e)
		}
	}
	pipe(reasonNotJSON, "not JSON at all") // what no loader writes, but somebody else may
	j.flights.PipeRecord(topology.Tombstone[string, []byte]("DTW", 1))

	got := make(map[topology.Reason]int64)
	for _, d := range j.driver.Drops() {
		got[d.Reason] += d.Count
	}
	for reason, n := range want {
		if got[reason] != n {
			t.Errorf("%d dropped as %q, want %d", got[reason], reason, n)
		}
	}
	if n := j.enriched.Len(); n != 0 {
		t.Errorf("%d records enriched, want none", n)
	}
	j.pipe([]byte(`{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS"}`))
	if n := j.enriched.Len(); n != 1 {
		t.Errorf("%d records enriched after a good flight, want 1", n)
	}
}

// TestInternalTopics fixes the names that end up in a log: a change of one of them orphans state.
func TestInternalTopics(t *testing.T) {
	t.Parallel()
	j := newTestJob(t)
	j.pipe([]byte(`{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS"}`))
	want := []string{
		"airports", "delays-by-city-hour", "flights", "flights-delays-by-city-hour-changelog", "flights-enriched",
		"flights-routes-changelog", "flights-routes-repartition", "routes",
	}
	if got := j.driver.Topics(); !slices.Equal(got, want) {
		t.Errorf("topics %q, want %q", got, want)
	}
}
