package serde

// Maybe is a value that may be absent: the other side of a left or outer join, the old value of a change. Absence is not
// null: a Maybe of a pointer type can be present and nil. The zero Maybe is absent.
type Maybe[T any] struct {
	v  T
	ok bool
}

// Some returns a present value.
func Some[T any](v T) Maybe[T] { return Maybe[T]{v: v, ok: true} }

// None returns an absent value.
func None[T any]() Maybe[T] { return Maybe[T]{} }

// Get returns the value and whether it is present; the zero T if it is not.
func (m Maybe[T]) Get() (T, bool) { return m.v, m.ok }

// Present reports whether there is a value.
func (m Maybe[T]) Present() bool { return m.ok }

// Or returns the value, or d if it is absent.
func (m Maybe[T]) Or(d T) T {
	if m.ok {
		return m.v
	}
	return d
}
