//go:build !go1.27

package main

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// describe describes the pipeline: operators that change a type are functions, with the stream first.
func describe(b *stream.Builder) {
	placed := stream.SelectKey(stream.From(b, ordersTopic, serde.String, orders), customerOf)
	known := stream.JoinTable(placed, stream.Table(b, customersTopic, serde.String, customers), toSale, orderByCustomer())
	byRegion := stream.GroupBy(known, regionOf, saleByRegion()).WindowedBy(hourly())
	summed := stream.AggregateWindows(byRegion, noSales, addSale, stream.Materialized("sales", sums))
	stream.Map(stream.ToStream(summed), label).To(salesTopic, serde.String, sums)
}
