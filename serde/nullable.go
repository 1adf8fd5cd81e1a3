package serde

import (
	"errors"
	"reflect"
)

// Nullable makes a Serde of *T, a type that can hold null, from one of T. A stream of *T hands null keys and values to user
// functions as nil, exactly as Kafka Streams does; an aggregate of *T is deleted by returning nil.
//
// The bytes are those of s. As any serde it never sees null itself: Append refuses nil.
func Nullable[T any](s Serde[T]) Serde[*T] { return nullable[T]{s} }

type nullable[T any] struct{ of Serde[T] }

func (n nullable[T]) Append(dst []byte, v *T) ([]byte, error) {
	if v == nil {
		return dst, errors.New("encode " + reflect.TypeFor[*T]().String() + ": nil stands for null and has no bytes")
	}
	return n.of.Append(dst, *v)
}

func (n nullable[T]) Decode(src []byte) (*T, error) {
	v, err := n.of.Decode(src)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// DecodeAliases reports what the serde of T says of itself.
func (n nullable[T]) DecodeAliases() bool { return Aliases(n.of) }
