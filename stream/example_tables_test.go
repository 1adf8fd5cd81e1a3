package stream_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// A table follows a topic: the last record of a key is its row.
func ExampleTable() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String, stream.StoreNamed("cities"))
	cities.Filter(func(_, city string) bool { return city != "Paris" }).ToStream().To("elsewhere", serde.String, serde.String)

	runRecords(b, "elsewhere",
		[3]string{"cities", "ann", "Rome"},
		[3]string{"cities", "bob", "Paris"},
		[3]string{"cities", "ann", "Paris"},
	)
	// Output:
	// ann: Rome
	// ann: null
}

// A line for each record, with the name of the operator above it or a label.
func ExampleKStream_Print() {
	b := stream.NewBuilder()
	words := stream.From(b, "words", serde.String, serde.String)
	words.Print(os.Stdout)
	words.PrintFunc(os.Stdout, func(_, word string) string { return strings.ToUpper(word) }, stream.Label("loud"))

	runRecords(b, "words", [3]string{"words", "k", "hello"})
	// Output:
	// [KSTREAM-SOURCE-0000000000]: k, hello
	// [loud]: HELLO
	// k: hello
}

// Each click is joined with the row that its user has at that moment.
func ExampleJoinTable() {
	b := stream.NewBuilder()
	clicks := stream.From(b, "clicks", serde.String, serde.String)
	users := stream.Table(b, "users", serde.String, serde.String)
	stream.JoinTable(clicks, users, func(page, name string) string { return name + " reads " + page }).
		To("reads", serde.String, serde.String)

	runRecords(b, "reads",
		[3]string{"clicks", "u1", "news"},
		[3]string{"users", "u1", "Ann"},
		[3]string{"clicks", "u1", "sport"},
	)
	// Output:
	// u1: Ann reads sport
}

// The order changes when either the order or its customer does.
func ExampleJoinForeign() {
	b := stream.NewBuilder()
	orders := stream.Table(b, "orders", serde.String, serde.String) // the customer
	customers := stream.Table(b, "customers", serde.String, serde.String)
	customer := func(_, order string) string { return order }
	stream.JoinForeign(orders, customers, customer, func(_, name string) string { return "for " + name }, stream.Named("named")).
		ToStream().To("named-orders", serde.String, serde.String)

	runRecords(b, "named-orders",
		[3]string{"customers", "c1", "Ann"},
		[3]string{"orders", "o1", "c1"},
		[3]string{"orders", "o2", "c1"},
		[3]string{"customers", "c1", "Anna"},
	)
	// Output:
	// o1: for Ann
	// o2: for Ann
	// o1: for Anna
	// o2: for Anna
}

// A row that moves is taken out of its old group and put into its new one.
func ExampleGroupTable() {
	b := stream.NewBuilder()
	cities := stream.Table(b, "cities", serde.String, serde.String)
	byCity := func(person, city string) (string, string) { return city, person }
	inhabitants := stream.GroupTable(cities, byCity, stream.GroupedWith(serde.String, serde.String).Named("by-city")).
		Count(stream.Materialized("inhabitants", serde.Int64))
	stream.MapTable(inhabitants, func(n int64) string { return fmt.Sprint(n) }).ToStream().To("counts", serde.String, serde.String)

	runRecords(b, "counts",
		[3]string{"cities", "ann", "Rome"},
		[3]string{"cities", "bob", "Rome"},
		[3]string{"cities", "ann", "Paris"},
	)
	// Output:
	// Rome: 1
	// Rome: 2
	// Rome: 1
	// Paris: 1
}

// runRecords pipes records, given as topic, key and value, into a program, a millisecond apart, and prints what reaches a topic.
func runRecords(b *stream.Builder, topic string, records ...[3]string) {
	tb := &exampleTB{}
	defer tb.cleanup()
	top, err := b.Topology()
	if err != nil {
		fmt.Println(err)
		return
	}
	var topics []string // for those who look for theirs
	for _, r := range records {
		topics = append(topics, r[0])
	}
	d := topologytest.New(tb, top, topologytest.Topics(topics...))
	out := topologytest.NewOutput(d, topic, serde.String, serde.Nullable(serde.String))
	for i, r := range records {
		topologytest.NewInput(d, r[0], serde.String, serde.String).PipeAt(r[1], r[2], int64(i))
	}
	for _, r := range out.ReadAll() {
		fmt.Printf("%s: %s\n", r.Key, text(r.Value))
	}
}
