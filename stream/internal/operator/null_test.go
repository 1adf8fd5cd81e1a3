package operator

import (
	"errors"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/topology"
)

// stateless operators meet: a whole record, one with a null value, one with a null key, one with neither.
func nulls() []topology.Record[string, string] {
	return []topology.Record[string, string]{
		rec("k", "v"), rec("k", "").WithoutValue(), rec("", "v").WithoutKey(), rec("", "").WithoutKey().WithoutValue(),
	}
}

// TestNullOfTypesThatCannotHoldIt: a null value never reaches a function; a null key does, as the zero value.
func TestNullOfTypesThatCannotHoldIt(t *testing.T) {
	t.Parallel()
	var calls []string
	call := func(k, v string) { calls = append(calls, k+"/"+v) }
	const passed = "k=v@7 k=null@7 null=v@7 null=null@7"
	for _, c := range []struct {
		name  string
		node  *topology.Node
		out   string // of the four records
		drops int    // of null values
	}{
		{"MapValues", MapValues("n", func(k, v string) string { call(k, v); return v }), passed, 0},
		{"Peek", Peek("n", call), passed, 0},
		{"Filter", Filter("n", func(k, v string) bool { call(k, v); return false }, true), "k=null@7 null=null@7", 0},
		{"FilterNot", Filter("n", func(k, v string) bool { call(k, v); return true }, false), "k=null@7 null=null@7", 0},
		{"FlatMapValues", FlatMapValues("n", func(k, v string, emit func(string)) { call(k, v); emit(v) }), passed, 0},
		{"Map", Map("n", func(k, v string) (string, string) { call(k, v); return "x", v }), "x=v@7 x=v@7", 2},
		{"SelectKey", SelectKey("n", func(k, v string) string { call(k, v); return "x" }), "x=v@7 x=v@7", 2},
		{"FlatMap", FlatMap("n", func(k, v string, emit func(string, string)) { call(k, v); emit("x", v) }), "x=v@7 x=v@7", 2},
		{"Foreach", Foreach("n", call), "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls = nil
			s, out := &scope{}, []string(nil)
			port := run[string, string, string, string](t, s, c.node, &out)
			for _, r := range nulls() {
				port(r)
			}
			if want := []string{"k/v", "/v"}; !slices.Equal(calls, want) {
				t.Errorf("the function was called with %q, want %q", calls, want)
			}
			if got := join(out); got != c.out {
				t.Errorf("out %q, want %q", got, c.out)
			}
			if want := slices.Repeat([]topology.Reason{topology.ReasonNullValue}, c.drops); !slices.Equal(s.drops, want) {
				t.Errorf("drops %q, want %q", s.drops, want)
			}
		})
	}
}

// TestNilBecomesNull: what a function returns as nil, for a type that can hold it, is null in the record.
func TestNilBecomesNull(t *testing.T) {
	t.Parallel()
	none := func(string, string) *string { return nil }
	x := "x"
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *scope, out *[]string) topology.Emit[string, string]
		want string
	}{
		{"MapValues", func(t *testing.T, s *scope, out *[]string) topology.Emit[string, string] {
			return run[string, string, string, *string](t, s, MapValues("n", none), out)
		}, "k=null@7"},
		{"SelectKey", func(t *testing.T, s *scope, out *[]string) topology.Emit[string, string] {
			return run[string, string, *string, string](t, s, SelectKey("n", none), out)
		}, "null=v@7"},
		{"Map", func(t *testing.T, s *scope, out *[]string) topology.Emit[string, string] {
			n := Map("n", func(string, string) (*string, []byte) { return nil, nil })
			return run[string, string, *string, []byte](t, s, n, out)
		}, "null=null@7"},
		{"FlatMap", func(t *testing.T, s *scope, out *[]string) topology.Emit[string, string] {
			n := FlatMap("n", func(_, _ string, emit func(*string, *string)) { emit(nil, &x); emit(&x, nil) })
			return run[string, string, *string, *string](t, s, n, out)
		}, "null=x@7 x=null@7"},
		{"FlatMapValues", func(t *testing.T, s *scope, out *[]string) topology.Emit[string, string] {
			n := FlatMapValues("n", func(_, _ string, emit func(*string)) { emit(nil); emit(&x) })
			return run[string, string, string, *string](t, s, n, out)
		}, "k=null@7 k=x@7"},
		{"MapValues to an empty slice", func(t *testing.T, s *scope, out *[]string) topology.Emit[string, string] {
			n := MapValues("n", func(string, string) []byte { return []byte{} })
			return run[string, string, string, []byte](t, s, n, out)
		}, "k=[]@7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out []string
			c.run(t, &scope{}, &out)(rec("k", "v"))
			if got := join(out); got != c.want {
				t.Errorf("out %q, want %q", got, c.want)
			}
		})
	}
}

// TestNilReachesFunctions: types that can hold nil see null as Kafka Streams shows it.
func TestNilReachesFunctions(t *testing.T) {
	t.Parallel()
	var seen, out []string
	node := MapValues("n", func(k, v *string) *string {
		seen = append(seen, show(&topology.Record[*string, *string]{Key: k, Value: v}))
		return v
	})
	port := run[*string, *string, *string, *string](t, &scope{}, node, &out)
	port(topology.Record[*string, *string]{Timestamp: 7}.WithoutKey().WithoutValue())
	if got := join(seen); got != "nil=nil@0" {
		t.Errorf("the function saw %q", got)
	}
	if got := join(out); got != "null=null@7" {
		t.Errorf("out %q", got)
	}
}

// TestKeyFilter: keys that are null, or nil, do not pass, and are counted apart.
func TestKeyFilter(t *testing.T) {
	t.Parallel()
	s, out := &scope{}, []string(nil)
	port := run[*string, string, *string, string](t, s, KeyFilter[*string, string]("n"), &out)
	k := "k"
	port(topology.NewRecord(&k, "v", 1))
	port(topology.NewRecord[*string](nil, "v", 2)) // a processor may make one
	port(topology.NewRecord(&k, "v", 3).WithoutKey())
	port(topology.NewRecord(&k, "v", 4).WithoutValue())
	if got := join(out); got != "k=v@1 k=null@4" {
		t.Errorf("out %q", got)
	}
	if want := []topology.Reason{topology.ReasonUnkeyed, topology.ReasonUnkeyed}; !slices.Equal(s.drops, want) {
		t.Errorf("drops %q, want %q", s.drops, want)
	}
}

func join(out []string) string {
	s := ""
	for i, o := range out {
		if i > 0 {
			s += " "
		}
		s += o
	}
	return s
}

// TestIsNil: as the language compares with nil, for every kind that can be.
func TestIsNil(t *testing.T) {
	t.Parallel()
	var none *int
	for name, got := range map[string][2]bool{
		"pointer":   {isNil[*int](nil), isNil(new(int))},
		"slice":     {isNil[[]byte](nil), isNil([]byte{})},
		"cut slice": {isNil([]byte(nil)[:0]), isNil([]byte("abc")[3:])},
		"map":       {isNil[map[int]int](nil), isNil(map[int]int{})},
		"channel":   {isNil[chan int](nil), isNil(make(chan int))},
		"function":  {isNil[func()](nil), isNil(func() {})},
		"interface": {isNil[any](nil), isNil[any](none)},
		"error":     {isNil[error](nil), isNil[error](errors.New("x"))},
	} {
		if got != [2]bool{true, false} {
			t.Errorf("%s: of nil %v, of another value %v", name, got[0], got[1])
		}
	}
}
