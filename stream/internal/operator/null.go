package operator

import (
	"reflect"
	"unsafe"

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

// isNil reports whether v, of a nilable type, is nil: whether its first word is null, which for all of these types is what the
// language compares (a slice's data, an interface's type, else the pointer). Reflection would be a tenth of what a record costs.
func isNil[T any](v T) bool { return *(*unsafe.Pointer)(unsafe.Pointer(&v)) == nil }

// hasKey reports whether r has a key: one that is there and, where K can hold nil, is not nil.
func hasKey[K, V any](r *topology.Record[K, V], nilableKey bool) bool {
	return r.HasKey() && !(nilableKey && isNil(r.Key))
}

// hasValue reports whether r has a value: one that is there and, where V can hold nil, is not nil.
func hasValue[K, V any](r *topology.Record[K, V], nilableValue bool) bool {
	return r.HasValue() && !(nilableValue && isNil(r.Value))
}

// flag makes r's key and value null where they are nil. It says which of the two can be.
func flag[K, V any](r *topology.Record[K, V], nilableKey, nilableValue bool) {
	if nilableKey && isNil(r.Key) {
		*r = r.WithoutKey()
	}
	if nilableValue && isNil(r.Value) {
		*r = r.WithoutValue()
	}
}

// withPair returns r with a key and a value that user code returned.
func withPair[K2, V2, K, V any](r *topology.Record[K, V], k K2, v V2) topology.Record[K2, V2] {
	return topology.WithValue(topology.WithKey(*r, k), v)
}
