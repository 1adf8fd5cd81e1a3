package serde

// New makes a Serde of two functions. appendTo extends dst by the encoding of v; decode reads the whole of src and must not
// keep it. Both must keep to the package's invariants and may be called by several goroutines.
//
//	var celsius = serde.New(
//		func(dst []byte, v Celsius) ([]byte, error) { return strconv.AppendFloat(dst, float64(v), 'g', -1, 64), nil },
//		func(src []byte) (Celsius, error) { f, err := strconv.ParseFloat(string(src), 64); return Celsius(f), err })
func New[T any](appendTo func(dst []byte, v T) ([]byte, error), decode func(src []byte) (T, error)) Serde[T] {
	return funcs[T]{appendTo, decode}
}

type funcs[T any] struct {
	appendTo func(dst []byte, v T) ([]byte, error)
	decode   func(src []byte) (T, error)
}

func (f funcs[T]) Append(dst []byte, v T) ([]byte, error) { return f.appendTo(dst, v) }
func (f funcs[T]) Decode(src []byte) (T, error)           { return f.decode(src) }

// Aliases reports whether s says that its decoded values may alias the bytes they came from, see [Aliaser].
func Aliases[T any](s Serde[T]) bool {
	a, ok := s.(Aliaser)
	return ok && a.DecodeAliases()
}
