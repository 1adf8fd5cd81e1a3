package state

import (
	"reflect"
	"testing"
	"time"
)

func TestIsPlain(t *testing.T) {
	t.Parallel()
	type plain struct {
		N    int64
		Name string
		At   [2]struct{ X, Y float32 }
	}
	for _, c := range []struct {
		t    reflect.Type
		want bool
	}{
		{reflect.TypeFor[int64](), true},
		{reflect.TypeFor[string](), true},
		{reflect.TypeFor[plain](), true},
		{reflect.TypeFor[[0]*int](), false}, // not worth a case
		{reflect.TypeFor[*int](), false},
		{reflect.TypeFor[[]byte](), false},
		{reflect.TypeFor[map[string]int](), false},
		{reflect.TypeFor[any](), false},
		{reflect.TypeFor[func()](), false},
		{reflect.TypeFor[struct{ p *plain }](), false},
		{reflect.TypeFor[time.Time](), false}, // points to its location
	} {
		if got := isPlain(c.t); got != c.want {
			t.Errorf("%v is plain: %v", c.t, got)
		}
	}
}
