package inspect

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Item is one thing that was found.
type Item struct {
	Kind   string
	Fields []Field
}

// Field is a named value: a string, an integer, a bool, a []string, or nil.
type Field struct {
	Name  string
	Value any
}

// New makes an item of names and values that alternate.
func New(kind string, pairs ...any) Item {
	it := Item{Kind: kind}
	it.Add(pairs...)
	return it
}

// Add adds fields: names and values that alternate.
func (it *Item) Add(pairs ...any) {
	for i := 0; i+1 < len(pairs); i += 2 {
		it.Fields = append(it.Fields, Field{Name: pairs[i].(string), Value: pairs[i+1]})
	}
}

// Bytes adds bytes as text, or in base64 under another name if they are none. nil stands for null.
func (it *Item) Bytes(name string, b []byte) {
	switch {
	case b == nil:
		it.Add(name, nil)
	case utf8.Valid(b):
		it.Add(name, string(b))
	default:
		it.Add(name+"Base64", base64.StdEncoding.EncodeToString(b))
	}
}

// ID returns a topic id as Kafka prints it.
func ID(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Text writes items as lines: the kind, then name=value.
func Text(w io.Writer) func(Item) error {
	return func(it Item) error {
		var b strings.Builder
		b.WriteString(it.Kind)
		for _, f := range it.Fields {
			fmt.Fprintf(&b, " %s=%s", f.Name, plain(f.Value))
		}
		b.WriteByte('\n')
		_, err := io.WriteString(w, b.String())
		return err
	}
}

// plain returns a value for people: strings are quoted only if they have to be.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case []string:
		return "[" + strings.Join(v, " ") + "]"
	case string:
		if quoted := strconv.Quote(v); v == "" || v == "null" || len(quoted) != len(v)+2 || strings.ContainsAny(v, " =[") {
			return quoted
		}
		return v
	default:
		return fmt.Sprint(v)
	}
}

// JSON writes items as JSON objects, one a line, with the kind first and the fields in their order.
func JSON(w io.Writer) func(Item) error {
	return func(it Item) error {
		b := []byte(`{"kind":`)
		for i, f := range append([]Field{{Value: it.Kind}}, it.Fields...) {
			if i > 0 {
				b = append(append(append(b, ','), strconv.Quote(f.Name)...), ':')
			}
			v, err := json.Marshal(f.Value)
			if err != nil {
				return fmt.Errorf("field %s of %s: %w", f.Name, it.Kind, err)
			}
			b = append(b, v...)
		}
		_, err := w.Write(append(b, '}', '\n'))
		return err
	}
}
