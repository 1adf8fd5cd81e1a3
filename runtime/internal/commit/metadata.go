package commit

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// Versions of the metadata. Version 1 ends after the time; version 2 may go on with operators' own entries, which this
// package reads over.
const (
	metadataV1     = 1
	metadataV2     = 2
	metadataLength = 1 + 8
)

// EncodeMetadata writes the highest event time of an input partition as the metadata of its committed offset, in Kafka
// Streams' format: base64 of a version byte and the time, eight bytes big endian (TopicPartitionMetadata.java).
func EncodeMetadata(partitionTime int64) string {
	var b [metadataLength]byte
	b[0] = metadataV2
	binary.BigEndian.PutUint64(b[1:], uint64(partitionTime))
	return base64.StdEncoding.EncodeToString(b[:])
}

// DecodeMetadata reads what EncodeMetadata or Kafka Streams wrote. Empty metadata means that no time is known: -1. On an
// error, the time is -1 too: the caller can go on without it and say so.
func DecodeMetadata(s string) (partitionTime int64, err error) {
	if s == "" {
		return -1, nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return -1, fmt.Errorf("offset metadata %.40q is not of Kafka Streams' format: %w", s, err)
	}
	if len(b) < metadataLength {
		return -1, fmt.Errorf("offset metadata %.40q: %d bytes, want at least %d", s, len(b), metadataLength)
	}
	if v := b[0]; v != metadataV1 && v != metadataV2 {
		return -1, fmt.Errorf("offset metadata %.40q: version %d is unknown", s, v)
	}
	if t := int64(binary.BigEndian.Uint64(b[1:])); t >= 0 {
		return t, nil
	}
	return -1, nil
}
