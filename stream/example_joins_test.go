package stream_test

import (
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
)

// soon is the window of the examples: two milliseconds apart, and none of grace.
var soon = window.Within(2 * time.Millisecond).Grace(0)

// strings3 are the serdes of a join whose keys and values are strings.
var strings3 = stream.StreamJoinedWith(serde.String, serde.String, serde.String)

// atOnce has a join look with each record for those whose time for a match is over, not once a second.
var atOnce = strings3.EmitInterval(0)

// A result for every two records of a key that are close in time.
func ExampleJoin() {
	b := stream.NewBuilder()
	orders := stream.From(b, "orders", serde.String, serde.String)
	payments := stream.From(b, "payments", serde.String, serde.String)
	stream.Join(orders, payments, func(goods, sum string) string { return goods + " for " + sum }, soon, strings3).
		To("paid", serde.String, serde.String)

	runRecords(b, "paid",
		[3]string{"orders", "o1", "cheese"},
		[3]string{"payments", "o1", "5 EUR"},
		[3]string{"payments", "o2", "7 EUR"},
	)
	// Output:
	// o1: cheese for 5 EUR
}

func ExampleJoinWithKey() {
	b := stream.NewBuilder()
	orders := stream.From(b, "orders", serde.String, serde.String)
	payments := stream.From(b, "payments", serde.String, serde.String)
	stream.JoinWithKey(orders, payments, func(order, goods, sum string) string { return order + ", " + goods + ", " + sum }, soon, strings3).
		To("paid", serde.String, serde.String)

	runRecords(b, "paid", [3]string{"orders", "o1", "cheese"}, [3]string{"payments", "o1", "5 EUR"})
	// Output:
	// o1: o1, cheese, 5 EUR
}

// What has found nothing comes out when its time is over, which a later record of any key shows.
func ExampleLeftJoin() {
	b := stream.NewBuilder()
	orders := stream.From(b, "orders", serde.String, serde.String)
	payments := stream.From(b, "payments", serde.String, serde.String)
	stream.LeftJoin(orders, payments, func(goods string, sum serde.Maybe[string]) string { return goods + " for " + sum.Or("nothing") }, soon, atOnce).
		To("out", serde.String, serde.String)

	runRecords(b, "out",
		[3]string{"orders", "o1", "cheese"},
		[3]string{"orders", "o2", "peanuts"},
		[3]string{"payments", "o2", "7 EUR"},
		[3]string{"orders", "o3", "wine"},
		[3]string{"orders", "o4", "bread"},
	)
	// Output:
	// o2: peanuts for 7 EUR
	// o1: cheese for nothing
}

// Either side may be missing.
func ExampleOuterJoin() {
	b := stream.NewBuilder()
	orders := stream.From(b, "orders", serde.String, serde.String)
	payments := stream.From(b, "payments", serde.String, serde.String)
	stream.OuterJoin(orders, payments, func(goods, sum serde.Maybe[string]) string { return goods.Or("nothing") + " for " + sum.Or("nothing") }, soon, atOnce).
		To("out", serde.String, serde.String)

	runRecords(b, "out",
		[3]string{"payments", "o1", "5 EUR"},
		[3]string{"orders", "o2", "peanuts"},
		[3]string{"payments", "o2", "7 EUR"},
		[3]string{"orders", "o3", "wine"},
		[3]string{"orders", "o4", "bread"},
	)
	// Output:
	// o2: peanuts for 7 EUR
	// o1: nothing for 5 EUR
}

func ExampleJoinTableWithKey() {
	b := stream.NewBuilder()
	clicks := stream.From(b, "clicks", serde.String, serde.String)
	users := stream.Table(b, "users", serde.String, serde.String)
	stream.JoinTableWithKey(clicks, users, func(id, page, name string) string { return name + " (" + id + ") reads " + page }).
		To("reads", serde.String, serde.String)

	runRecords(b, "reads", [3]string{"users", "u1", "Ann"}, [3]string{"clicks", "u1", "sport"})
	// Output:
	// u1: Ann (u1) reads sport
}

func ExampleLeftJoinTable() {
	b := stream.NewBuilder()
	clicks := stream.From(b, "clicks", serde.String, serde.String)
	users := stream.Table(b, "users", serde.String, serde.String)
	stream.LeftJoinTable(clicks, users, func(page string, name serde.Maybe[string]) string { return name.Or("somebody") + " reads " + page }).
		To("reads", serde.String, serde.String)

	runRecords(b, "reads",
		[3]string{"clicks", "u1", "news"},
		[3]string{"users", "u1", "Ann"},
		[3]string{"clicks", "u1", "sport"},
	)
	// Output:
	// u1: somebody reads news
	// u1: Ann reads sport
}

// A click that comes too late meets the row of its own time: the table keeps versions, and the stream waits a little for them.
func ExampleJoinGrace() {
	b := stream.NewBuilder()
	clicks := stream.From(b, "clicks", serde.String, serde.String)
	users := stream.Table(b, "users", serde.String, serde.String, stream.Materialized("users", serde.String).Versioned(time.Minute))
	stream.JoinTable(clicks, users, func(page, name string) string { return name + " reads " + page },
		stream.JoinGrace(2*time.Millisecond), stream.JoinedWith(serde.String, serde.String)).
		To("reads", serde.String, serde.String)

	runRecords(b, "reads",
		[3]string{"users", "u1", "Ann"},
		[3]string{"clicks", "u1", "news"},
		[3]string{"users", "u1", "Anna"},
		[3]string{"clicks", "u1", "sport"},
		[3]string{"clicks", "u1", "weather"},
		[3]string{"clicks", "u1", "travel"},
	)
	// Output:
	// u1: Ann reads news
	// u1: Anna reads sport
}

// The stream's values name the rows that they are joined with; there is no other table in it, but all of the table in each instance.
func ExampleJoinGlobal() {
	b := stream.NewBuilder()
	flights := stream.From(b, "flights", serde.String, serde.String)
	cities := stream.GlobalTable(b, "cities", serde.String, serde.String)
	stream.JoinGlobal(flights, cities,
		func(_, flight string) string { return flight[:3] },
		func(flight, city string) string { return flight + " from " + city }).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"cities", "DTW", "Detroit, MI"}, [3]string{"flights", "f1", "DTW-LAS"}, [3]string{"flights", "f2", "XYZ-LAS"})
	// Output:
	// f1: DTW-LAS from Detroit, MI
}

func ExampleJoinGlobalWithKey() {
	b := stream.NewBuilder()
	flights := stream.From(b, "flights", serde.String, serde.String)
	cities := stream.GlobalTable(b, "cities", serde.String, serde.String)
	stream.JoinGlobalWithKey(flights, cities,
		func(_, flight string) string { return flight[:3] },
		func(number, flight, city string) string { return number + " from " + city }).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"cities", "DTW", "Detroit, MI"}, [3]string{"flights", "f1", "DTW-LAS"})
	// Output:
	// f1: f1 from Detroit, MI
}

// The row changes when either side does, and goes when either does.
func ExampleJoinTables() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	phones := stream.Table(b, "phones", serde.String, serde.String)
	stream.JoinTables(cities, phones, func(city, phone string) string { return city + ", " + phone }).ToStream().
		To("addresses", serde.String, serde.String)

	runRecords(b, "addresses",
		[3]string{"cities", "ann", "Rome"},
		[3]string{"phones", "ann", "12345"},
		[3]string{"cities", "ann", "Paris"},
	)
	// Output:
	// ann: Rome, 12345
	// ann: Paris, 12345
}

func ExampleLeftJoinTables() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	phones := stream.Table(b, "phones", serde.String, serde.String)
	stream.LeftJoinTables(cities, phones, func(city string, phone serde.Maybe[string]) string { return city + ", " + phone.Or("no phone") }).ToStream().
		To("addresses", serde.String, serde.String)

	runRecords(b, "addresses",
		[3]string{"cities", "ann", "Rome"},
		[3]string{"phones", "ann", "12345"},
	)
	// Output:
	// ann: Rome, no phone
	// ann: Rome, 12345
}

func ExampleOuterJoinTables() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	phones := stream.Table(b, "phones", serde.String, serde.String)
	stream.OuterJoinTables(cities, phones, func(city, phone serde.Maybe[string]) string { return city.Or("nowhere") + ", " + phone.Or("no phone") }).ToStream().
		To("addresses", serde.String, serde.String)

	runRecords(b, "addresses",
		[3]string{"phones", "ann", "12345"},
		[3]string{"cities", "ann", "Rome"},
	)
	// Output:
	// ann: nowhere, 12345
	// ann: Rome, 12345
}

// An order without a customer has a row too.
func ExampleLeftJoinForeign() {
	b := stream.NewBuilder()
	orders := stream.Table(b, "orders", serde.String, serde.String) // the customer
	customers := stream.Table(b, "customers", serde.String, serde.String)
	customer := func(_, order string) string { return order }
	stream.LeftJoinForeign(orders, customers, customer, func(_ string, name serde.Maybe[string]) string { return "for " + name.Or("nobody") }, stream.Named("named")).
		ToStream().To("named-orders", serde.String, serde.String)

	runRecords(b, "named-orders",
		[3]string{"orders", "o1", "c1"},
		[3]string{"customers", "c1", "Ann"},
	)
	// Output:
	// o1: for nobody
	// o1: for Ann
}

func ExampleLeftJoinWithKey() {
	b := stream.NewBuilder()
	orders := stream.From(b, "orders", serde.String, serde.String)
	payments := stream.From(b, "payments", serde.String, serde.String)
	paid := func(order, goods string, sum serde.Maybe[string]) string {
		return order + ": " + goods + " for " + sum.Or("nothing")
	}
	stream.LeftJoinWithKey(orders, payments, paid, soon, atOnce).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"orders", "o1", "cheese"}, [3]string{"payments", "o1", "5 EUR"})
	// Output:
	// o1: o1: cheese for 5 EUR
}

func ExampleOuterJoinWithKey() {
	b := stream.NewBuilder()
	orders := stream.From(b, "orders", serde.String, serde.String)
	payments := stream.From(b, "payments", serde.String, serde.String)
	paid := func(order string, goods, sum serde.Maybe[string]) string {
		return order + ": " + goods.Or("nothing") + " for " + sum.Or("nothing")
	}
	stream.OuterJoinWithKey(orders, payments, paid, soon, atOnce).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"orders", "o1", "cheese"}, [3]string{"payments", "o1", "5 EUR"})
	// Output:
	// o1: o1: cheese for 5 EUR
}

func ExampleLeftJoinTableWithKey() {
	b := stream.NewBuilder()
	clicks := stream.From(b, "clicks", serde.String, serde.String)
	users := stream.Table(b, "users", serde.String, serde.String)
	stream.LeftJoinTableWithKey(clicks, users, func(id, page string, name serde.Maybe[string]) string { return name.Or(id) + " reads " + page }).
		To("reads", serde.String, serde.String)

	runRecords(b, "reads", [3]string{"clicks", "u1", "news"})
	// Output:
	// u1: u1 reads news
}

func ExampleLeftJoinGlobalWithKey() {
	b := stream.NewBuilder()
	flights := stream.From(b, "flights", serde.String, serde.String)
	cities := stream.GlobalTable(b, "cities", serde.String, serde.String)
	stream.LeftJoinGlobalWithKey(flights, cities,
		func(_, flight string) string { return flight[:3] },
		func(number, flight string, city serde.Maybe[string]) string {
			return number + " from " + city.Or(flight[:3])
		}).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"flights", "f1", "DTW-LAS"})
	// Output:
	// f1: f1 from DTW
}
