package operator

import (
	"reflect"

	"github.com/millrace-io/millrace/topology"
)

// nilable reports whether a T can be nil: such a type holds null itself.
func nilable[T any]() bool {
	switch reflect.TypeFor[T]().Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return true
	}
	return false
}

// isNil reports whether v, of a nilable type, is nil. It does not allocate.
func isNil[T any](v T) bool { return reflect.ValueOf(&v).Elem().IsNil() }

// hasKey reports whether r has a key: one that is there and, where K can hold nil, is not nil.
func hasKey[K, V any](r *topology.Record[K, V], nilableKey bool) bool {
	return r.HasKey() && !(nilableKey && isNil(r.Key))
}

// hasValue reports whether r has a value: one that is there and, where V can hold nil, is not nil.
func hasValue[K, V any](r *topology.Record[K, V], nilableValue bool) bool {
	return r.HasValue() && !(nilableValue && isNil(r.Value))
}

// withValue puts a value that user code returned into r: null if it is nil.
func withValue[V2, K, V any](r topology.Record[K, V], v V2, nilableValue bool) topology.Record[K, V2] {
	if nilableValue && isNil(v) {
		return topology.WithoutValueAs[V2](r)
	}
	return topology.WithValue(r, v)
}

// withKey puts a key that user code returned into r: null if it is nil.
func withKey[K2, K, V any](r topology.Record[K, V], k K2, nilableKey bool) topology.Record[K2, V] {
	out := topology.WithKey(r, k)
	if nilableKey && isNil(k) {
		return out.WithoutKey()
	}
	return out
}
