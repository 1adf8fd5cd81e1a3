package wire

import "unsafe"

// fieldKind is the shape of a field on the wire.
type fieldKind uint8

const (
	fixedField    fieldKind = iota // size bytes
	stringField                    // length-prefixed, may be null
	bytesField                     // length-prefixed, may be null; the decoder aliases it
	listField                      // counted elements, may be null
	structField                    // elem in place; only as a tagged field
	nullableField                  // a byte, -1 for null, else a struct of elem
)

// field describes one field of a request. Nullability is not checked: the decoder does that at no risk.
type field struct {
	kind         fieldKind
	since, until int16 // versions that carry it, inclusive
	size         int   // fixedField: bytes on the wire; listField: bytes of one decoded element
	record       bool  // listField: elements are structs, with tags in flexible versions
	elem         []field
	tags         []taggedField // of a record element or a structField
}

// taggedField is a tag that the decoder looks into; all others are opaque bytes to it.
type taggedField struct {
	tag   uint32
	field field
}

// schema describes one request key.
type schema struct {
	flexible int16 // first version with compact lengths and tags
	fields   []field
	tags     []taggedField
}

const lastVersion = 1<<15 - 1

// The constructors of the schema language. A field stands in all versions unless from, to or between narrows it.

func fixed(size int) field { return field{kind: fixedField, size: size, until: lastVersion} }
func str() field           { return field{kind: stringField, until: lastVersion} }
func blob() field          { return field{kind: bytesField, until: lastVersion} }

// listOf is an array of primitives that decode into E.
func listOf[E any](elem field) field {
	return field{kind: listField, until: lastVersion, size: sizeOf[E](), elem: []field{elem}}
}

// records is an array of structs that decode into E.
func records[E any](fields ...field) field {
	return field{kind: listField, until: lastVersion, size: sizeOf[E](), record: true, elem: fields}
}

func (f field) from(v int16) field            { f.since = v; return f }
func (f field) to(v int16) field              { f.until = v; return f }
func (f field) between(lo, hi int16) field    { f.since, f.until = lo, hi; return f }
func (f field) tagged(t ...taggedField) field { f.tags = t; return f }
func tag(n uint32, f field) taggedField       { return taggedField{n, f} }
func sizeOf[E any]() int                      { var e E; return int(unsafe.Sizeof(e)) }
func nullable(fields ...field) field {
	return field{kind: nullableField, until: lastVersion, elem: fields}
}
func inline(fields ...field) field     { return field{kind: structField, until: lastVersion, elem: fields} }
func (f *field) in(version int16) bool { return f.since <= version && version <= f.until }

const (
	boolSize  = 1
	int8Size  = 1
	int16Size = 2
	int32Size = 4
	int64Size = 8
	uuidSize  = 16
)
