package topology_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

var errFragile = errors.New("fragile")

// fragile panics in one of its methods.
type fragile struct{ in string }

func (f fragile) call(method string) error {
	if f.in == method {
		panic(errFragile)
	}
	return nil
}

func (f fragile) Init(*topology.GlobalContext, *state.Global[string, string]) error {
	return f.call("Init")
}
func (f fragile) Process(topology.Record[string, string]) error { return f.call("Process") }
func (f fragile) Close() error                                  { return f.call("Close") }

// TestGlobalProcessorPanics: whatever of a global store's processor panics, the caller hears of it by an error: it is an instance that opens, runs or
// closes, and has more to close than this.
func TestGlobalProcessorPanics(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"constructor", "Init", "Process", "Close"} {
		spec := state.GlobalSpec("store", serde.String, serde.String)
		layer, err := spec.Open(state.Env{})
		if err != nil {
			t.Fatal(err)
		}
		g := topology.NewGlobalStore[fragile, *state.Global[string, string]]("fill", "topic", serde.String, serde.String, func() fragile {
			_ = fragile{in}.call("constructor")
			return fragile{in}
		})
		var failed string
		note := func(step string, err error) {
			var panicked *topology.PanicError
			if errors.Is(err, errFragile) && errors.As(err, &panicked) {
				failed += step
			} else if err != nil {
				t.Errorf("%s: %v", step, err)
			}
		}
		filler, err := g.Build(nil, layer.(state.GlobalLayer))
		note("build", err)
		if err == nil {
			decoded, err := filler.Take(topology.Coordinates{Topic: "topic"}, &topology.Raw{Value: []byte("v")})
			note(fmt.Sprintf("take %v", decoded), err)
			note("close", filler.Close())
		}
		want := map[string]string{"constructor": "build", "Init": "build", "Process": "take true", "Close": "close"}[in]
		if failed != want {
			t.Errorf("a panic in %s fails %q, want %q", in, failed, want)
		}
	}
}
