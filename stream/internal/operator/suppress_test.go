package operator

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// TestSuppressedContext: what was held back comes with the time, headers and source of its last change, and not with those of the
// record that lets it go (D-50).
func TestSuppressedContext(t *testing.T) {
	t.Parallel()
	s := &scope{}
	_, parent := source(t, s, "rows")
	s.open(t, state.BufferSpec("b", serde.String, serde.String))
	n, _ := (&Suppress[string, string]{Store: "b", Wait: 10, MaxRecords: 100, MaxBytes: 1 << 20}).Node("n", parent)
	var got []string
	inst, err := n.Build(s, topology.Emit[string, textChange](func(r topology.Record[string, textChange]) {
		got = append(got, fmt.Sprintf("%s=%s@%d %v from %d", r.Key, r.Value.New.Or("none"), r.Timestamp, r.Headers.All(), s.source.Offset))
	}))
	if err != nil {
		t.Fatal(err)
	}
	take := inst.Ports[0].(topology.Emit[string, textChange])
	for i, r := range []topology.Record[string, textChange]{
		topology.NewRecord("k", textChange{New: serde.Some("first"), Latest: true}, 0),
		topology.NewRecord("k", textChange{New: serde.Some("last"), Old: serde.Some("first"), Latest: true}, 5),
		topology.NewRecord("other", textChange{New: serde.Some("lets it go"), Latest: true}, 10),
	} {
		s.source = topology.Coordinates{Topic: "in", Offset: int64(i)}
		r.Headers = serde.Headers{}.With("h", fmt.Append(nil, i))
		take(r)
	}
	if want := []string{"k=last@5 [{h [49]}] from 1"}; !slices.Equal(got, want) || len(s.failed) > 0 {
		t.Errorf("emitted %q, want %q; %v", got, want, s.failed)
	}
	if s.source.Offset != 2 {
		t.Errorf("afterwards the source is %+v", s.source)
	}
}
