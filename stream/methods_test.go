//go:build !go1.27

package stream_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/stream"
)

// TestMethodsOfStreams: no method of a stream makes a table or groups it. Every method of every stream type of a program is compiled, called or not,
// with all methods of what it returns: one that leads to tables would bring their stores, windows and suppression along for each.
func TestMethodsOfStreams(t *testing.T) {
	t.Parallel()
	s := reflect.TypeFor[stream.KStream[string, string]]()
	if s.NumMethod() < 5 {
		t.Fatalf("%v has %d methods", s, s.NumMethod())
	}
	for m := range s.Methods() {
		for result := range m.Type.Outs() {
			for _, heavy := range []string{"KTable[", "GroupedStream["} {
				if strings.HasPrefix(result.Name(), heavy) {
					t.Errorf("%s returns a %v: make it a function", m.Name, result)
				}
			}
		}
	}
}
