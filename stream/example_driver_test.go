package stream_test

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// runExample pipes lines of text into a topic of a program, a millisecond apart, and prints what reaches the topic "out".
func runExample(b *stream.Builder, topic string, lines ...string) {
	tb := &exampleTB{}
	defer tb.cleanup()
	top, err := b.Topology()
	if err != nil {
		fmt.Println(err)
		return
	}
	d := topologytest.New(tb, top)
	in := topologytest.NewInput(d, topic, serde.String, serde.String)
	out := topologytest.NewOutput(d, "out", serde.String, serde.String)
	for i, line := range lines {
		in.PipeAt("", line, int64(i))
		for _, r := range out.ReadAll() {
			fmt.Printf("%s: %s\n", r.Key, r.Value)
		}
	}
}

// exampleTB is the testing.TB of an example, which has none.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper()                      {}
func (tb *exampleTB) Cleanup(f func())          { tb.cleanups = append(tb.cleanups, f) }
func (*exampleTB) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (*exampleTB) Errorf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

func (tb *exampleTB) cleanup() {
	for _, f := range tb.cleanups {
		f()
	}
}
