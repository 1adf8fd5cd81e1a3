package stream_test

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// Several topics are one stream, as if all records were in one.
func ExampleFromTopics() {
	b := stream.NewBuilder()
	orders := stream.FromTopics(b, []string{"orders-eu", "orders-us"}, serde.String, serde.String)
	orders.To("orders", serde.String, serde.String)

	runRecords(b, "orders", [3]string{"orders-eu", "o1", "cheese"}, [3]string{"orders-us", "o2", "peanuts"})
	// Output:
	// o1: cheese
	// o2: peanuts
}

// The topics are those whose whole name matches, when the application starts and later.
func ExampleFromPattern() {
	b := stream.NewBuilder()
	orders := stream.FromPattern(b, regexp.MustCompile("orders-.*"), serde.String, serde.String)
	orders.To("all", serde.String, serde.String)

	runRecords(b, "all", [3]string{"orders-eu", "o1", "cheese"}, [3]string{"orders-us", "o2", "peanuts"})
	// Output:
	// o1: cheese
	// o2: peanuts
}

// A source of which the group has committed nothing begins at the end of its topic.
func ExampleOffsetReset() {
	b := stream.NewBuilder()
	fresh := stream.From(b, "alarms", serde.String, serde.String, stream.OffsetReset[string, string](topology.Latest()))
	fresh.To("pager", serde.String, serde.String)

	runRecords(b, "pager", [3]string{"alarms", "boiler", "hot"})
	// Output:
	// boiler: hot
}

func ExampleKStream_Filter() {
	b := stream.NewBuilder()
	words := stream.From(b, "words", serde.String, serde.String)
	words.Filter(func(_, word string) bool { return len(word) > 3 }).To("long", serde.String, serde.String)

	runRecords(b, "long", [3]string{"words", "k", "a"}, [3]string{"words", "k", "word"})
	// Output:
	// k: word
}

func ExampleKStream_FilterNot() {
	b := stream.NewBuilder()
	words := stream.From(b, "words", serde.String, serde.String)
	words.FilterNot(func(_, word string) bool { return len(word) > 3 }).To("short", serde.String, serde.String)

	runRecords(b, "short", [3]string{"words", "k", "a"}, [3]string{"words", "k", "word"})
	// Output:
	// k: a
}

// The new key decides on the partition: grouped or joined by it, the stream goes through a topic first.
func ExampleMap() {
	b := stream.NewBuilder()
	people := stream.From(b, "people", serde.String, serde.String) // name: city
	stream.Map(people, func(name, city string) (string, string) { return city, name }).To("inhabitants", serde.String, serde.String)

	runRecords(b, "inhabitants", [3]string{"people", "ann", "Rome"})
	// Output:
	// Rome: ann
}

func ExampleMapValues() {
	b := stream.NewBuilder()
	words := stream.From(b, "words", serde.String, serde.String)
	stream.MapValues(words, strings.ToUpper).To("loud", serde.String, serde.String)

	runRecords(b, "loud", [3]string{"words", "k", "hello"})
	// Output:
	// k: HELLO
}

// The key is seen and stays, so that nothing has to move.
func ExampleMapValuesWithKey() {
	b := stream.NewBuilder()
	people := stream.From(b, "people", serde.String, serde.String)
	stream.MapValuesWithKey(people, func(name, city string) string { return name + " of " + city }).To("titles", serde.String, serde.String)

	runRecords(b, "titles", [3]string{"people", "ann", "Rome"})
	// Output:
	// ann: ann of Rome
}

func ExampleSelectKey() {
	b := stream.NewBuilder()
	people := stream.From(b, "people", serde.String, serde.String)
	stream.SelectKey(people, func(_, city string) string { return city }).To("by-city", serde.String, serde.String)

	runRecords(b, "by-city", [3]string{"people", "ann", "Rome"})
	// Output:
	// Rome: Rome
}

// Any number of records comes of each, with keys of their own.
func ExampleFlatMap() {
	b := stream.NewBuilder()
	teams := stream.From(b, "teams", serde.String, serde.String) // team: members
	stream.FlatMap(teams, func(team, members string, emit func(string, string)) {
		for name := range strings.SplitSeq(members, " ") {
			emit(name, team)
		}
	}).To("players", serde.String, serde.String)

	runRecords(b, "players", [3]string{"teams", "red", "ann bob"})
	// Output:
	// ann: red
	// bob: red
}

func ExampleFlatMapValues() {
	b := stream.NewBuilder()
	lines := stream.From(b, "lines", serde.String, serde.String)
	stream.FlatMapValues(lines, func(line string, emit func(string)) {
		for word := range strings.FieldsSeq(line) {
			emit(word)
		}
	}).To("words", serde.String, serde.String)

	runRecords(b, "words", [3]string{"lines", "1", "to be"}, [3]string{"lines", "2", ""})
	// Output:
	// 1: to
	// 1: be
}

func ExampleFlatMapValuesWithKey() {
	b := stream.NewBuilder()
	lines := stream.From(b, "lines", serde.String, serde.String)
	stream.FlatMapValuesWithKey(lines, func(number, line string, emit func(string)) {
		for word := range strings.FieldsSeq(line) {
			emit(number + "/" + word)
		}
	}).To("words", serde.String, serde.String)

	runRecords(b, "words", [3]string{"lines", "1", "to be"})
	// Output:
	// 1: 1/to
	// 1: 1/be
}

// What is looked at goes on as it came.
func ExampleKStream_Peek() {
	b := stream.NewBuilder()
	words := stream.From(b, "words", serde.String, serde.String)
	words.Peek(func(_, word string) { fmt.Println("passing:", word) }).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"words", "k", "hello"})
	// Output:
	// passing: hello
	// k: hello
}

// What is done for each record is done again if its transaction is lost: only what is written to topics and stores is exactly once.
func ExampleKStream_Foreach() {
	b := stream.NewBuilder()
	words := stream.From(b, "words", serde.String, serde.String)
	words.Foreach(func(key, word string) { fmt.Println(key, word) })
	words.To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"words", "k", "hello"})
	// Output:
	// k hello
	// k: hello
}

func ExampleKStream_Merge() {
	b := stream.NewBuilder()
	web := stream.From(b, "web", serde.String, serde.String)
	phone := stream.From(b, "phone", serde.String, serde.String)
	web.Merge(phone).To("orders", serde.String, serde.String)

	runRecords(b, "orders", [3]string{"web", "o1", "cheese"}, [3]string{"phone", "o2", "peanuts"})
	// Output:
	// o1: cheese
	// o2: peanuts
}

// Work behind the topic runs in tasks of its own, as many as it has partitions.
func ExampleKStream_Repartition() {
	b := stream.NewBuilder()
	people := stream.From(b, "people", serde.String, serde.String)
	byCity := stream.SelectKey(people, func(_, city string) string { return city })
	byCity.Repartition(stream.RepartitionedWith(serde.String, serde.String).Named("by-city").Partitions(1)).
		To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"people", "ann", "Rome"})
	// Output:
	// Rome: Rome
}

// The topic is chosen for each record. It must exist.
func ExampleKStream_ToTopics() {
	b := stream.NewBuilder()
	orders := stream.From(b, "orders", serde.String, serde.String)
	topicOf := func(r *topology.Record[string, string], _ topology.Coordinates) string {
		return "orders-" + strings.ToLower(r.Value)
	}
	orders.ToTopics(topicOf, serde.String, serde.String)

	runRecords(b, "orders-eu", [3]string{"orders", "o1", "EU"}, [3]string{"orders", "o2", "US"})
	// Output:
	// o1: EU
}

// The program says which partition a record goes to, here by the length of its key.
func ExamplePartitionBy() {
	b := stream.NewBuilder()
	words := stream.From(b, "words", serde.String, serde.String)
	byLength := func(_ string, r *topology.Record[string, string], _ []byte, n int32) int32 {
		return int32(len(r.Key)) % n
	}
	words.To("out", serde.String, serde.String, stream.PartitionBy(byLength))

	runRecords(b, "out", [3]string{"words", "key", "hello"})
	// Output:
	// key: hello
}

// Each record is the row of its key from then on.
func ExampleToTable() {
	b := stream.NewBuilder()
	moves := stream.From(b, "moves", serde.String, serde.String)
	cities := stream.ToTable(moves, stream.Materialized("cities", serde.String))
	visits := stream.From(b, "visits", serde.String, serde.String)
	stream.JoinTable(visits, cities, func(day, city string) string { return city + " on " + day }).To("out", serde.String, serde.String)

	runRecords(b, "out", [3]string{"moves", "ann", "Rome"}, [3]string{"moves", "ann", "Paris"}, [3]string{"visits", "ann", "Monday"})
	// Output:
	// ann: Paris on Monday
}
