package main

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/topology"
)

func TestFlightDecodes(t *testing.T) {
	t.Parallel()
	want := Flight{time.Date(2001, 1, 1, 0, 47, 0, 0, time.UTC), 66, 1750, "DTW", "LAS"}
	got, err := flights.Decode([]byte(` {"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS","tail":"N1"}`))
	if err != nil || got != want {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	encoded, err := flights.Append(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := flights.Decode(encoded); err != nil || again != want {
		t.Errorf("round trip: got %+v, %v; want %+v", again, err, want)
	}
}

func TestFlightFaultsHaveAReason(t *testing.T) {
	t.Parallel()
	const rest = `"delay":1,"distance":2,"origin":"DTW","destination":"LAS"}`
	for in, want := range map[string]topology.Reason{
		"":                              reasonNotJSON,
		"  ":                            reasonNotJSON,
		"hello":                         reasonNotJSON,
		`{"date":`:                      reasonNotJSON,
		`{} {}`:                         reasonNotJSON,
		"null":                          reasonNotObject,
		" 17":                           reasonNotObject,
		`"DTW"`:                         reasonNotObject,
		`[{"date":"2001/01/01 00:47"}]`: reasonNotObject,
		"{}":                            reasonMissingField,
		"{" + rest:                      reasonMissingField,
		`{"date":null,` + rest:          reasonMissingField,
		`{"date":17,` + rest:            reasonBadField,
		`{"date":"2001/01/01 00:47","delay":1.5}`: reasonBadField,
		`{"date":"yesterday",` + rest:             reasonBadDate,
		`{"date":"",` + rest:                      reasonBadDate,
		`{"date":"2001/02/29 00:47",` + rest:      reasonBadDate,
		`{"date":"2001-02-28 00:47",` + rest:      reasonBadDate,
		`{"date":"1969/12/31 23:59",` + rest:      reasonBadDate,
		`{"date":"2200/01/01 00:00",` + rest:      reasonBadDate,
	} {
		f, err := flights.Decode([]byte(in))
		if err == nil {
			t.Errorf("%q: decoded to %+v", in, f)
			continue
		}
		if got := topology.ReasonOf(err, "other"); got != want {
			t.Errorf("%q: reason %q (%v), want %q", in, got, err, want)
		}
	}
}

func FuzzDecodeFlight(f *testing.F) {
	f.Add([]byte(`{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS"}`))
	f.Add([]byte("null"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, in []byte) {
		flight, err := flights.Decode(in)
		if err != nil {
			if topology.ReasonOf(err, "") == "" {
				t.Fatalf("%q: error without a reason: %v", in, err)
			}
			return
		}
		out, err := flights.Append(nil, flight)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := flights.Decode(out); err != nil || again != flight {
			t.Fatalf("%q: %+v, again %+v, %v", in, flight, again, err)
		}
	})
}
