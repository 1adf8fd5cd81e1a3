package operator

import (
	"fmt"
	"io"
	"reflect"
	"sync"

	"github.com/millrace-io/millrace/topology"
)

// Print writes each record to w as a line of its own, "[label]: text", and ends the stream (D-18). A null value that V cannot hold is dropped
// and counted if there is a text, which could not be given it. One task writes at a time; what w fails with goes to the processing handler.
func Print[K, V any](name, label string, w io.Writer, text func(K, V) string) *topology.Node {
	var mu sync.Mutex // over the tasks of all workers
	write := func(line string) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Fprintf(w, "[%s]: %s\n", label, line)
		return err
	}
	n := &topology.Node{Name: name, Kind: topology.KindProcessor, In: []topology.Edge{topology.EdgeOf[K, V]()}}
	n.Build = func(s topology.Scope, _ any) (topology.Instance, error) {
		e, sees := env{scope: s, node: n.ID}, nilable[V]()
		port := topology.Emit[K, V](func(r topology.Record[K, V]) {
			var line string
			switch {
			case text == nil:
				line = printed(r.HasKey(), r.Key) + ", " + printed(r.HasValue(), r.Value)
			case !sees && !r.HasValue():
				e.drop(topology.ReasonNullValue)
				return
			default:
				line = text(r.Key, r.Value)
			}
			e.failed(write(line)) // the handler is asked when others may write again
		})
		return topology.Instance{Ports: []any{port}}, nil
	}
	return n
}

// printed shows a key or a value: what a pointer points to unless it shows itself, bytes as text, nil as null.
func printed(present bool, v any) string {
	x := reflect.ValueOf(v)
	for present && x.Kind() == reflect.Pointer {
		if x.IsNil() {
			return "null"
		}
		switch x.Interface().(type) {
		case fmt.Formatter, fmt.Stringer, error: // *big.Int, messages of Protobuf
			return fmt.Sprint(x.Interface())
		}
		x = x.Elem()
	}
	if !present || !x.IsValid() {
		return "null"
	}
	if b, ok := x.Interface().([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(x.Interface())
}
