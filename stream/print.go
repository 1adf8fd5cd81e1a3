package stream

import (
	"io"

	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/internal/plan"
)

// PrintOption is an option of [KStream.Print] and [KStream.PrintFunc]: [Label] and [Named].
type PrintOption interface{ print(*printConfig) }

type printConfig struct {
	stepConfig
	label LabelOption
}

// LabelOption is what [Label] returns.
type LabelOption struct{ text string }

// Label puts text in front of each line that a stream prints, in place of the name of the operator above.
func Label(text string) LabelOption { return LabelOption{text} }

func (l LabelOption) print(c *printConfig) { c.label = l }
func (n NameOption) print(c *printConfig)  { n.step(&c.stepConfig) }

// Print writes each record to w and ends the stream: a line "[label]: key, value", null for what is null. It is for looking at a stream while one
// works at it: nothing of it is undone with a transaction. A line is one call of Write, and calls come one at a time; two Prints that share a
// writer need one that is safe for several goroutines, as os.Stdout is. An error of w goes to the processing handler. It stands for Kafka
// Streams' KStream.print.
func (s KStream[K, V]) Print(w io.Writer, opts ...PrintOption) { s.print(w, nil, opts) }

// PrintFunc is [KStream.Print] with what f makes of key and value after the label. A null value that V cannot hold is dropped and counted.
func (s KStream[K, V]) PrintFunc(w io.Writer, f func(key K, value V) string, opts ...PrintOption) {
	name := s.print(w, f, opts)
	s.b.require(name, f != nil, "the function is nil")
}

func (s KStream[K, V]) print(w io.Writer, f func(K, V) string, opts []PrintOption) (name string) {
	c := printConfig{label: Label(s.node.Name)}
	for _, o := range opts {
		o.print(&c)
	}
	name = s.b.plan.Name(c.take(s.b), plan.Print)
	s.b.require(name, w != nil, "the writer is nil")
	s.b.plan.Add(operator.Print(name, c.label.text, w, f), s.node)
	return name
}
