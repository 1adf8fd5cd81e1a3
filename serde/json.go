package serde

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// JSONOption changes what [JSON] accepts.
type JSONOption func(*jsonConfig)

type jsonConfig struct{ strict bool }

// Strict makes Decode refuse an object with a field that T does not have. Without it such fields are ignored, so that a
// producer may add fields before its readers know them.
func Strict() JSONOption { return func(c *jsonConfig) { c.strict = true } }

// JSON encodes a T with encoding/json: its struct tags and its Marshaler and Unmarshaler methods count. Decode refuses
// anything after the value but white space. The decoded value shares nothing with the bytes.
//
// The JSON text null decodes to the zero T, as encoding/json has it; for a pointer that is nil, which a stream treats as
// a null value.
func JSON[T any](opts ...JSONOption) Serde[T] {
	var c jsonConfig
	for _, o := range opts {
		o(&c)
	}
	return jsonSerde[T](c)
}

type jsonSerde[T any] jsonConfig

func (jsonSerde[T]) Append(dst []byte, v T) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("encode %s as JSON: %w", reflect.TypeFor[T](), err)
	}
	return append(dst, b...), nil
}

func (j jsonSerde[T]) Decode(src []byte) (T, error) {
	var v T
	err := j.unmarshal(src, &v)
	if err != nil {
		var zero T // what was decoded before the error is not a T
		return zero, fmt.Errorf("decode %s from JSON: %w", reflect.TypeFor[T](), err)
	}
	return v, nil
}

func (j jsonSerde[T]) unmarshal(src []byte, v *T) error {
	if !j.strict {
		return json.Unmarshal(src, v)
	}
	d := json.NewDecoder(bytes.NewReader(src))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("unexpected end of JSON input")
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("data after the value, at byte %d", d.InputOffset())
	}
	return nil
}
