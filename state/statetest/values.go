package statetest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/serde"
)

// values makes values of one type for the model, which knows them as text.
type values[V any] struct {
	serde serde.Serde[V]
	fresh func(n int64) V
	// add changes v, in place if V can be changed in place, and returns it.
	add  func(v V, n int64) V
	text func(V) string
}

// Plain is a value that stores keep typed.
type Plain struct {
	N    int64
	Last string
}

// Doc is a value that stores keep as bytes and hand to one owner at a time.
type Doc struct{ Items []int64 }

var plainValues = values[Plain]{
	serde: jsonSerde[Plain]{},
	fresh: func(n int64) Plain { return Plain{n, fmt.Sprint(n)} },
	add:   func(v Plain, n int64) Plain { return Plain{v.N + n, fmt.Sprint(n)} },
	text:  func(v Plain) string { return fmt.Sprint(v) },
}

var pointerValues = values[*Doc]{
	serde: jsonSerde[*Doc]{},
	fresh: func(n int64) *Doc { return &Doc{[]int64{n}} },
	add: func(v *Doc, n int64) *Doc {
		v.Items = append(v.Items, n)
		if len(v.Items) > 4 {
			v.Items = slices.Delete(v.Items, 0, 1)
		}
		return v
	},
	text: func(v *Doc) string { return fmt.Sprint(v.Items) },
}

// jsonSerde is a serde of the test's own, so that the suite depends on nothing that it does not test.
type jsonSerde[V any] struct{}

func (jsonSerde[V]) Append(dst []byte, v V) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(dst, b...), err
}

func (jsonSerde[V]) Decode(src []byte) (v V, err error) {
	err = json.Unmarshal(src, &v)
	return v, err
}

// text is a serde of strings.
type text struct{}

func (text) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (text) Decode(src []byte) (string, error)           { return string(src), nil }
