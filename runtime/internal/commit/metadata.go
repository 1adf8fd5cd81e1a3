package commit

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Metadata is what is committed with the offset of an input partition, so that event time does not fall back in a restart (R-15, D-88).
type Metadata struct {
	PartitionTime int64 // highest event time taken from the partition, -1 if none
	// Next is the event time of the record at the offset, if HasNext: other instances wait for it (DESIGN D18). It is written among Times,
	// under a name that no store has.
	Next    int64
	HasNext bool
	// Times are event times of the task's operators, by name, all at least 0.
	Times map[string]int64
}

// The format is Kafka Streams' (TopicPartitionMetadata and ProcessorMetadata), so that either side reads what the other wrote:
//
//	base64 of
//	  version (1)                 1 ends after the time
//	  partition time (8)
//	  count (4)                   version 2, if there are times
//	  for each: length (4), name, time (8)
//
// all big endian. Kafka Streams has there up to when windows that closed were emitted, by store; we have that under the same name,
// and the operators' stream times beside it.
const (
	nextName       = "/next"
	metadataV1     = 1
	metadataV2     = 2
	metadataLength = 1 + 8
	timeOverhead   = 4 + 8
	// maxMetadata is what brokers accept by default (offset.metadata.max.bytes).
	maxMetadata = 4096
)

var errTimes = errors.New("shorter than what it says it holds")

// Encode returns m as the metadata of an offset, and how many of the times had no room in it: those with the longest names.
func (m Metadata) Encode() (text string, left int) {
	b := make([]byte, metadataLength, 128)
	b[0] = metadataV2
	binary.BigEndian.PutUint64(b[1:], uint64(m.PartitionTime))
	if len(m.Times) == 0 && !m.HasNext {
		return base64.StdEncoding.EncodeToString(b), 0
	}
	b = append(b, 0, 0, 0, 0)
	count := uint32(0)
	if m.HasNext {
		b = appendTime(b, nextName, m.Next)
		count++
	}
	for _, name := range slices.SortedFunc(maps.Keys(m.Times), shorterFirst) {
		if base64.StdEncoding.EncodedLen(len(b)+timeOverhead+len(name)) > maxMetadata {
			left++
			continue
		}
		b = appendTime(b, name, m.Times[name])
		count++
	}
	binary.BigEndian.PutUint32(b[metadataLength:], count)
	return base64.StdEncoding.EncodeToString(b), left
}

func appendTime(b []byte, name string, at int64) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
	b = append(b, name...)
	return binary.BigEndian.AppendUint64(b, uint64(at))
}

// shorterFirst lets as many times as can be have room.
func shorterFirst(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// DecodeMetadata reads what Encode or Kafka Streams wrote. Empty metadata means that nothing is known. After an error the result is
// what could be read, for the caller can go on without the rest and say so.
func DecodeMetadata(s string) (Metadata, error) {
	m := Metadata{PartitionTime: -1}
	if s == "" {
		return m, nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return m, fmt.Errorf("offset metadata %.40q is not of Kafka Streams' format: %w", s, err)
	}
	if len(b) < metadataLength {
		return m, fmt.Errorf("offset metadata %.40q: %d bytes, want at least %d", s, len(b), metadataLength)
	}
	if v := b[0]; v != metadataV1 && v != metadataV2 {
		return m, fmt.Errorf("offset metadata %.40q: version %d is unknown", s, v)
	}
	m.PartitionTime = max(-1, int64(binary.BigEndian.Uint64(b[1:])))
	if b[0] == metadataV1 || len(b) == metadataLength {
		return m, nil
	}
	if m.Times, err = decodeTimes(b[metadataLength:]); err != nil {
		return m, fmt.Errorf("offset metadata %.40q: operators' times: %w", s, err)
	}
	if m.Next, m.HasNext = m.Times[nextName]; m.HasNext {
		delete(m.Times, nextName)
	}
	return m, nil
}

func decodeTimes(b []byte) (map[string]int64, error) {
	if len(b) < 4 {
		return nil, errTimes
	}
	count := binary.BigEndian.Uint32(b)
	if b = b[4:]; int64(count) > int64(len(b)/timeOverhead) {
		return nil, errTimes
	}
	times := make(map[string]int64, count)
	for range count {
		if len(b) < timeOverhead {
			return nil, errTimes
		}
		n := binary.BigEndian.Uint32(b)
		if b = b[4:]; n > math.MaxInt32 || int(n)+8 > len(b) {
			return nil, errTimes
		}
		if at := int64(binary.BigEndian.Uint64(b[n:])); at >= 0 {
			times[string(b[:n])] = at
		}
		b = b[n+8:]
	}
	return times, nil
}
