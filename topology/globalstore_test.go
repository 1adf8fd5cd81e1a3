package topology_test

import (
	"errors"
	"fmt"
	"slices"
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

// globalStage notes what is left out.
type globalStage struct{ drops []topology.Reason }

func (*globalStage) Now() int64                             { return 0 }
func (s *globalStage) Drop(reason topology.Reason, _ error) { s.drops = append(s.drops, reason) }

// TestGlobalStoreTimes: an extractor sees the highest time of its partition, and a record to which it gives none is left out.
func TestGlobalStoreTimes(t *testing.T) {
	t.Parallel()
	layer, err := state.GlobalSpec("store", serde.String, serde.String).Open(state.Env{})
	if err != nil {
		t.Fatal(err)
	}
	var seen []int64
	extract := func(r topology.Record[string, string], _ topology.Coordinates, partitionTime int64) (int64, error) {
		seen = append(seen, partitionTime)
		return r.Timestamp, nil
	}
	g := topology.NewGlobalStore[fragile, *state.Global[string, string]]("fill", "topic", serde.String, serde.String,
		func() fragile { return fragile{"Process"} }, topology.WithExtractor(extract))
	s := &globalStage{}
	filler, err := g.Build(s, layer.(state.GlobalLayer))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		partition int32
		time      int64
	}{{0, 5}, {0, 3}, {1, 4}, {0, -1}} {
		_, err := filler.Take(topology.Coordinates{Topic: "topic", Partition: r.partition}, &topology.Raw{Timestamp: r.time})
		if processed := err != nil; processed != (r.time >= 0) { // the processor panics
			t.Errorf("a record of time %d: processed %v", r.time, processed)
		}
	}
	if want := []int64{-1, 5, -1, 5}; !slices.Equal(seen, want) {
		t.Errorf("partition times %v, want %v", seen, want)
	}
	if want := []topology.Reason{topology.ReasonTimestamp}; !slices.Equal(s.drops, want) {
		t.Errorf("dropped %v, want %v", s.drops, want)
	}
}
