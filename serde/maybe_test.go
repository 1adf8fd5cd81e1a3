package serde_test

import (
	"slices"
	"testing"

	"github.com/millrace-io/millrace/serde"
)

func TestMaybe(t *testing.T) {
	t.Parallel()
	some, none := serde.Some(0), serde.None[int]()
	if v, ok := some.Get(); v != 0 || !ok || !some.Present() || some.Or(7) != 0 {
		t.Errorf("Some(0): %v, %v", v, ok)
	}
	if v, ok := serde.Some(3).Get(); v != 3 || !ok || serde.Some(3).Or(7) != 3 {
		t.Errorf("Some(3): %v, %v", v, ok)
	}
	if v, ok := none.Get(); v != 0 || ok || none.Present() || none.Or(7) != 7 {
		t.Errorf("None: %v, %v", v, ok)
	}
	if none != (serde.Maybe[int]{}) {
		t.Error("the zero Maybe is not absent")
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	var none serde.Headers
	if _, ok := none.Last("a"); ok || none.All() != nil {
		t.Error("the zero Headers is not empty")
	}
	one := none.With("a", []byte("1"))
	list := append(make([]serde.Header, 0, 2), serde.Header{Key: "a"}) // with room for what one of them appends
	left, right := serde.NewHeaders(list).With("b", []byte("left")), serde.NewHeaders(list).With("b", []byte("right"))
	if l, _ := left.Last("b"); string(l) != "left" || len(right.All()) != 2 {
		t.Errorf("With changed what it made before: %q", l)
	}
	two := one.With("a", nil).With("b", []byte("2"))
	if v, ok := one.Last("a"); string(v) != "1" || !ok || len(one.All()) != 1 {
		t.Errorf("With changed the headers that it was called on: %v", one.All())
	}
	if v, ok := two.Last("a"); v != nil || !ok {
		t.Errorf("the last of two headers of a key: %q, %v", v, ok)
	}
	keys := make([]string, 0, 3)
	for _, h := range two.All() {
		keys = append(keys, h.Key)
	}
	if !slices.Equal(keys, []string{"a", "a", "b"}) {
		t.Errorf("order of headers: %q", keys)
	}
}

// TestAddHeader: who holds headers sees what is added to them (P-11); those that are empty are shared with nobody.
func TestAddHeader(t *testing.T) {
	t.Parallel()
	var none, added serde.Headers
	added = none
	added.Add("a", []byte("1"))
	shared, with := added, added.With("c", nil)
	added.Add("b", []byte("2"))
	for name, h := range map[string]serde.Headers{"added": added, "shared": shared} {
		a, _ := h.Last("a")
		b, _ := h.Last("b")
		if string(a) != "1" || string(b) != "2" || len(h.All()) != 2 {
			t.Errorf("%s: %v", name, h.All())
		}
	}
	if len(none.All()) > 0 || len(with.All()) != 2 {
		t.Errorf("others have %v and %v", none.All(), with.All())
	}
}
