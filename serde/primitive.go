package serde

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// The serdes of Kafka's built-in types. Numbers are big endian.
var (
	// String is text (Kafka's StringSerializer). Neither direction fails: a Go string holds any bytes, so those that are not
	// UTF-8 stay as they are, and what is read is written the same. (Java replaces them by U+FFFD, so that a key read and
	// written there changes, and with it its partition.)
	String Serde[string] = stringSerde{}
	// Bytes is bytes as they are (ByteArraySerializer). Decode returns a copy. It returns an empty slice, never nil, for
	// bytes that are present but empty.
	Bytes Serde[[]byte] = bytesSerde{}
	// Int64 is eight bytes (LongSerializer).
	Int64 Serde[int64] = int64Serde{}
	// Int32 is four bytes (IntegerSerializer).
	Int32 Serde[int32] = int32Serde{}
	// Int16 is two bytes (ShortSerializer).
	Int16 Serde[int16] = int16Serde{}
	// Float64 is the eight bytes of IEEE 754 (DoubleSerializer).
	Float64 Serde[float64] = float64Serde{}
	// Float32 is the four bytes of IEEE 754 (FloatSerializer).
	Float32 Serde[float32] = float32Serde{}
	// Bool is one byte, 1 or 0 (BooleanSerializer).
	Bool Serde[bool] = boolSerde{}
)

// sized checks the length of a fixed-size value.
func sized(name string, src []byte, want int) error {
	if len(src) == want {
		return nil
	}
	return fmt.Errorf("decode %s: %d bytes, want %d", name, len(src), want)
}

type stringSerde struct{}

func (stringSerde) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }

func (stringSerde) Decode(src []byte) (string, error) { return string(src), nil }

func (stringSerde) DecodeIn(a *Arena, src []byte) (string, error) {
	return unsafe.String(unsafe.SliceData(a.Copy(src)), len(src)), nil // nobody else has the copy
}

type bytesSerde struct{}

func (bytesSerde) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }

func (bytesSerde) Decode(src []byte) ([]byte, error) {
	return append(make([]byte, 0, len(src)), src...), nil
}

func (bytesSerde) DecodeIn(a *Arena, src []byte) ([]byte, error) { return a.Copy(src), nil }

type int64Serde struct{}

func (int64Serde) Append(dst []byte, v int64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(v)), nil
}

func (int64Serde) Decode(src []byte) (int64, error) {
	if err := sized("int64", src, 8); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(src)), nil
}

type int32Serde struct{}

func (int32Serde) Append(dst []byte, v int32) ([]byte, error) {
	return binary.BigEndian.AppendUint32(dst, uint32(v)), nil
}

func (int32Serde) Decode(src []byte) (int32, error) {
	if err := sized("int32", src, 4); err != nil {
		return 0, err
	}
	return int32(binary.BigEndian.Uint32(src)), nil
}

type int16Serde struct{}

func (int16Serde) Append(dst []byte, v int16) ([]byte, error) {
	return binary.BigEndian.AppendUint16(dst, uint16(v)), nil
}

func (int16Serde) Decode(src []byte) (int16, error) {
	if err := sized("int16", src, 2); err != nil {
		return 0, err
	}
	return int16(binary.BigEndian.Uint16(src)), nil
}

type float64Serde struct{}

func (float64Serde) Append(dst []byte, v float64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(canonical64(v))), nil
}

func (float64Serde) Decode(src []byte) (float64, error) {
	if err := sized("float64", src, 8); err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(src)), nil
}

// canonical64 gives every NaN the bits that Java writes for it, so that equal keys have equal bytes. Go's own NaN differs.
func canonical64(v float64) float64 {
	if v != v {
		return math.Float64frombits(0x7ff8000000000000)
	}
	return v
}

type float32Serde struct{}

func (float32Serde) Append(dst []byte, v float32) ([]byte, error) {
	if v != v {
		return binary.BigEndian.AppendUint32(dst, 0x7fc00000), nil
	}
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(v)), nil
}

func (float32Serde) Decode(src []byte) (float32, error) {
	if err := sized("float32", src, 4); err != nil {
		return 0, err
	}
	return math.Float32frombits(binary.BigEndian.Uint32(src)), nil
}

type boolSerde struct{}

func (boolSerde) Append(dst []byte, v bool) ([]byte, error) {
	if v {
		return append(dst, 1), nil
	}
	return append(dst, 0), nil
}

func (boolSerde) Decode(src []byte) (bool, error) {
	if err := sized("bool", src, 1); err != nil {
		return false, err
	}
	if src[0] > 1 {
		return false, fmt.Errorf("decode bool: byte %#02x, want 0 or 1", src[0])
	}
	return src[0] == 1, nil
}
