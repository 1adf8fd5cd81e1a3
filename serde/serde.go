package serde

// Serde encodes and decodes values of one type. It stands for Kafka's Serde: a serialiser and a deserialiser in one.
type Serde[T any] interface {
	// Append encodes v onto dst and returns the extended slice. On error it returns dst as it was given.
	Append(dst []byte, v T) ([]byte, error)
	// Decode decodes the whole of src. src is valid only during the call, see S3. A length or a content that cannot be
	// a T is an error; Decode never panics on bad bytes.
	Decode(src []byte) (T, error)
}

// Aliaser is implemented by a serde whose decoded values may share memory with the bytes they were decoded from.
// Holders of such a value must copy it if they keep it longer than the bytes live.
type Aliaser interface {
	// DecodeAliases reports whether values returned by Decode may alias its argument.
	DecodeAliases() bool
}
