package stream_test

import (
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// Every fault of a program is reported at once, with the line that it is about.
func ExampleBuilder_Topology() {
	b := stream.NewBuilder()
	stream.From(b, "orders", serde.String, serde.String).
		Filter(func(_, order string) bool { return order != "" }, stream.Named("not empty")).
		To("valid/orders", serde.String, serde.String)
	_, err := b.Topology()
	fmt.Println(err)
	// Output:
	// stream/example_faults_test.go:14: operator name "not empty": only letters, digits, '.', '_' and '-' are allowed, not ' '
	// stream/example_faults_test.go:15: node KSTREAM-SINK-0000000002: topic "valid/orders": only letters, digits, '.', '_' and '-' are allowed, not '/'
}
