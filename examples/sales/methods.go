//go:build go1.27

package main

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// describe describes the pipeline: with Go 1.27 every operator is a method.
func describe(b *stream.Builder) {
	stream.From(b, ordersTopic, serde.String, orders).
		SelectKey(customerOf).
		JoinTable(stream.Table(b, customersTopic, serde.String, customers), toSale, orderByCustomer()).
		GroupBy(regionOf, saleByRegion()).
		WindowedBy(hourly()).
		Aggregate(noSales, addSale, stream.Materialized("sales", sums)).
		ToStream(label).
		To(salesTopic, serde.String, sums)
}
