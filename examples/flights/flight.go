package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/topology"
)

// Flight is one flight as the airlines reported it: a value of the topic flights.
type Flight struct {
	Departure           time.Time // the local time, taken as UTC
	Delay               int64     // minutes, negative if early
	Distance            int64     // miles
	Origin, Destination string    // IATA codes
}

const dateLayout = "2006/01/02 15:04"

// The dates that are taken. A log has no times before 1970; and a bound on the other side bounds how far two flights can be
// apart, which the grace period of the windows must cover, see anySkew.
const firstYear, lastYear = 1970, 2199

// Reasons for which the pipeline leaves a record out. They bring the library's drop counters and log lines to the point.
const (
	reasonNotJSON       topology.Reason = "not JSON"
	reasonNotObject     topology.Reason = "not an object"
	reasonMissingField  topology.Reason = "missing field"
	reasonBadField      topology.Reason = "bad field"
	reasonBadDate       topology.Reason = "bad date"
	reasonUnknownOrigin topology.Reason = "unknown origin"
)

// fault is why bytes are no flight.
type fault struct {
	reason topology.Reason
	detail error
}

func (f *fault) Error() string               { return string(f.reason) + ": " + f.detail.Error() }
func (f *fault) Unwrap() error               { return f.detail }
func (f *fault) DropReason() topology.Reason { return f.reason }

// flightJSON is a flight in the format of the data file. The pointers tell a field that is missing, or null, from a zero.
type flightJSON struct {
	Date        *string `json:"date"`
	Delay       *int64  `json:"delay"`
	Distance    *int64  `json:"distance"`
	Origin      *string `json:"origin"`
	Destination *string `json:"destination"`
}

// flights is the serde of the topic flights. Its errors say what is wrong with a record, see fault.
var flights = serde.New(appendFlight, decodeFlight)

func appendFlight(dst []byte, f Flight) ([]byte, error) {
	date := f.Departure.UTC().Format(dateLayout)
	b, err := json.Marshal(flightJSON{&date, &f.Delay, &f.Distance, &f.Origin, &f.Destination})
	if err != nil {
		return dst, fmt.Errorf("encode flight: %w", err)
	}
	return append(dst, b...), nil
}

func decodeFlight(src []byte) (Flight, error) {
	var in flightJSON
	if err := json.Unmarshal(src, &in); err != nil {
		return Flight{}, jsonFault(src, err)
	}
	if first := bytes.TrimLeft(src, " \t\r\n"); first[0] != '{' { // null, which Unmarshal lets pass
		return Flight{}, &fault{reasonNotObject, fmt.Errorf("found %.20s", first)}
	}
	switch {
	case in.Date == nil:
		return Flight{}, missing("date")
	case in.Delay == nil:
		return Flight{}, missing("delay")
	case in.Distance == nil:
		return Flight{}, missing("distance")
	case in.Origin == nil:
		return Flight{}, missing("origin")
	case in.Destination == nil:
		return Flight{}, missing("destination")
	}
	departure, err := time.Parse(dateLayout, *in.Date)
	if err != nil {
		return Flight{}, &fault{reasonBadDate, fmt.Errorf("%.40q, want one like %q", *in.Date, "2001/01/31 23:59")}
	}
	if y := departure.Year(); y < firstYear || y > lastYear {
		return Flight{}, &fault{reasonBadDate, fmt.Errorf("%q is not in %d to %d", *in.Date, firstYear, lastYear)}
	}
	return Flight{departure, *in.Delay, *in.Distance, *in.Origin, *in.Destination}, nil
}

func missing(field string) error { return &fault{reasonMissingField, errors.New(field)} }

// jsonFault sorts an error of json.Unmarshal.
func jsonFault(src []byte, err error) error {
	var wrongType *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &wrongType):
		return &fault{reasonNotJSON, err}
	case wrongType.Field == "":
		return &fault{reasonNotObject, fmt.Errorf("found %.20s", bytes.TrimLeft(src, " \t\r\n"))}
	default:
		return &fault{reasonBadField, fmt.Errorf("%s is a %s", wrongType.Field, wrongType.Value)}
	}
}

// Leg is a flight seen from the city that it leaves: a value of the topic flights-enriched, whose key is that city.
type Leg struct {
	Origin      string `json:"origin"`
	Destination string `json:"destination"`
	Delay       int64  `json:"delay"`
	Distance    int64  `json:"distance"`
}

// delayedMinutes is the delay from which a flight counts as delayed.
const delayedMinutes = 15

// HourStats are the flights that left a city within an hour.
type HourStats struct {
	Flights    int64 `json:"flights"`
	Delayed    int64 `json:"delayed"`     // by delayedMinutes or more
	TotalDelay int64 `json:"total_delay"` // minutes; flights that left early make it less
	MaxDelay   int64 `json:"max_delay"`
}

// add returns s with one more flight.
func (s HourStats) add(l Leg) HourStats {
	if s.Flights == 0 || l.Delay > s.MaxDelay {
		s.MaxDelay = l.Delay
	}
	s.Flights++
	s.TotalDelay += l.Delay
	if l.Delay >= delayedMinutes {
		s.Delayed++
	}
	return s
}

// RouteStats are the flights of one route.
type RouteStats struct {
	Flights    int64 `json:"flights"`
	TotalDelay int64 `json:"total_delay"`
	Distance   int64 `json:"distance"` // miles, of one flight; the greatest, should they differ, since it does not depend on their order
}

// add returns s with one more flight.
func (s RouteStats) add(l Leg) RouteStats {
	s.Distance = max(s.Distance, l.Distance)
	s.Flights++
	s.TotalDelay += l.Delay
	return s
}
