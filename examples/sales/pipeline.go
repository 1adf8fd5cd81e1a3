package main

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

// The topics, and their number of partitions.
const (
	ordersTopic    = "orders"
	customersTopic = "customers"
	salesTopic     = "sales-by-region"
	partitions     = 2
)

// Order is a value of the topic orders, by order number.
type Order struct {
	Customer string
	Cents    int64
}

// Customer is a row of the topic customers, by name.
type Customer struct{ Region string }

// Sale is an order with what is known of its customer.
type Sale struct {
	Region string
	Cents  int64
}

// Sum is a value of the topic sales-by-region, by region and hour.
type Sum struct{ Orders, Cents int64 }

var (
	orders    = serde.JSON[Order]()
	customers = serde.JSON[Customer]()
	sales     = serde.JSON[Sale]()
	sums      = serde.JSON[Sum]()
)

// hourly: sales count for the hour of the order, if they come a day late at most.
func hourly() window.Time { return window.Tumbling(time.Hour).Grace(24 * time.Hour) }

func customerOf(_ string, o Order) string { return o.Customer }

func toSale(o Order, c Customer) Sale { return Sale{Region: c.Region, Cents: o.Cents} }

func regionOf(_ string, s Sale) string { return s.Region }

func noSales() Sum { return Sum{} }

func addSale(_ string, s Sale, sum Sum) Sum {
	return Sum{Orders: sum.Orders + 1, Cents: sum.Cents + s.Cents}
}

func label(w window.Windowed[string], sum Sum) (string, Sum) {
	return fmt.Sprintf("%s %s", w.Key, w.StartTime().Format("15:04")), sum
}

// What the repartition topics are written with.
func orderByCustomer() stream.Joined[string, Order] { return stream.JoinedWith(serde.String, orders) }

func saleByRegion() stream.Grouped[string, Sale] { return stream.GroupedWith(serde.String, sales) }
