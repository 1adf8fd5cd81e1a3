package layer

import "unsafe"

// sizeOf returns the size of a T in memory, without what it points to.
func sizeOf[T any]() uintptr {
	var t T
	return unsafe.Sizeof(t)
}
