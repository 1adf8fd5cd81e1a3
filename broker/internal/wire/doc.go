// Package wire is the first code that touches bytes from a client: it cuts the stream into frames, reads request
// headers, and proves a request's body sound before the generated decoder may see it.
//
// # Why a guard
//
// The decoders that are generated from Kafka's message definitions trust the counts they read: a body of a few bytes
// can announce 2^28 tagged fields or make a decoder allocate many times its input. So a request passes three gates,
// each of which costs memory and time by the bytes that are present:
//
//   - W1: a frame's buffer grows with the bytes that have arrived, not with the length that was promised (ReadFrame);
//   - W2: every length, array count and tag count is checked against the bytes left, at every nesting level, for every
//     key and version that is served (guard, over the schemas in schema.go);
//   - W3: what decoding will allocate is added up on the way and bounded by a small multiple of the frame.
//
// Only then does the decoder run. A body that fails is an error, and the server closes that connection, nothing more.
//
// # Concurrency
//
// Everything here is a pure function of its input, but ReadFrame, which reads from the connection of its caller.
//
// # Sources
//
// Kafka's message definitions (clients/src/main/resources/common/message), KIP-482 for tagged fields.
package wire
