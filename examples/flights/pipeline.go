package main

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/examples/flights/data"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// anySkew is the grace period of the windows: longer than any two flights can be apart. See lastYear.
//
// A window closes when the task's stream time is a grace period past its end, and what comes after that is dropped as late.
// Live, a few minutes would do. On history the records of a city arrive out of order, and by any measure: stage 1
// runs one task per partition of flights, each at its own speed, and they write to the same partitions of flights-enriched.
// While one task is still in January, another may be in March already; after a restart it may be years in a longer
// file. Only a grace period that covers the whole of the data makes the result depend on the data alone. It costs the
// state of all windows, which the result topic holds anyway.
const anySkew = (lastYear - firstYear + 2) * 366 * 24 * time.Hour

// pipeline is the whole job, three stages joined by topics.
func pipeline(n names) (*topology.Topology, error) {
	b := stream.NewBuilder()
	enrich(b, n)
	legs := stream.From(b, n.enriched, serde.String, serde.JSON[Leg]())
	delaysByCityHour(legs, n)
	routes(legs, n)
	t, err := b.Topology()
	if err != nil {
		return nil, fmt.Errorf("build the pipeline: %w", err)
	}
	return t, nil
}

// enrich is stage 1: it gives each flight its city. A flight's event time is its departure.
func enrich(b *stream.Builder, n names) {
	departure := func(r topology.Record[string, Flight], _ topology.Coordinates, _ int64) (int64, error) {
		if !r.HasValue() {
			return r.Timestamp, nil // there is no flight; the join will leave it out
		}
		return r.Value.Departure.UnixMilli(), nil
	}
	flights := stream.From(b, n.flights, serde.String, flights, stream.Timestamps(departure))
	airports := stream.GlobalTable(b, n.airports, serde.String, serde.JSON[data.Airport]())
	located := stream.LeftJoinGlobal(flights, airports,
		func(_ string, f Flight) string { return f.Origin },
		func(f Flight, origin serde.Maybe[data.Airport]) located { return located{f, origin} })
	stream.Process(located, newByCity, stream.Named("by-city")).
		To(n.enriched, serde.String, serde.JSON[Leg]())
}

// delaysByCityHour is stage 2: how each city did in each hour.
func delaysByCityHour(legs stream.KStream[string, Leg], n names) {
	hours := stream.AggregateWindows(
		stream.GroupByKey(legs).WindowedBy(window.Tumbling(time.Hour).Grace(anySkew)),
		func() HourStats { return HourStats{} },
		func(_ string, l Leg, s HourStats) HourStats { return s.add(l) },
		stream.Materialized("delays-by-city-hour", serde.JSON[HourStats]()))
	stream.ToStream(hours).To(n.delays, cityHourKeys, serde.JSON[HourStats]())
}

// routes is stage 3: how each route did. A route's flights are spread over the partitions by city, so they first go through
// a repartition topic.
func routes(legs stream.KStream[string, Leg], n names) {
	byRoute := stream.GroupBy(legs,
		func(_ string, l Leg) string { return l.Origin + "-" + l.Destination },
		stream.GroupedWith(serde.String, serde.JSON[Leg]()))
	stream.Aggregate(byRoute,
		func() RouteStats { return RouteStats{} },
		func(_ string, l Leg, s RouteStats) RouteStats { return s.add(l) },
		stream.Materialized("routes", serde.JSON[RouteStats]())).
		ToStream().To(n.routes, serde.String, serde.JSON[RouteStats]())
}

// located is a flight and the airport that it leaves, if the list has it.
type located struct {
	Flight
	origin serde.Maybe[data.Airport]
}

// byCity makes a flight a leg under the city that it leaves, "City, ST". An inner join would pass over a flight of unknown
// origin in silence, as joins do; here it is a fault of the data, to be counted and named like the others.
type byCity struct {
	ctx *topology.Context[string, Leg]
}

func newByCity() *byCity { return &byCity{} }

func (p *byCity) Init(ctx *topology.Context[string, Leg]) error {
	p.ctx = ctx
	return nil
}

func (p *byCity) Process(r topology.Record[string, located]) error {
	f := r.Value
	airport, known := f.origin.Get()
	if !known {
		p.ctx.Drop(reasonUnknownOrigin, fmt.Errorf("no airport %q", f.Origin))
		return nil
	}
	leg := Leg{Origin: f.Origin, Destination: f.Destination, Delay: f.Delay, Distance: f.Distance}
	p.ctx.Forward(topology.WithKey(topology.WithValue(r, leg), airport.City+", "+airport.State))
	return nil
}

func (p *byCity) Close() error { return nil }
