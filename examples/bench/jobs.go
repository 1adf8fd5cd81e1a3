package main

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

const (
	partitions = 4
	countKeys  = 10_000
	valueBytes = 64
)

// jobKind is one job that is measured: a topology that reads the topic in and writes the topic out.
type jobKind struct {
	id, name string
	// build makes the topology; hops is how many times it reads a record from the log.
	build func(in, out string) (*topology.Topology, error)
	hops  int
	// reference does the same work on records in memory, and returns a number that depends on all of it.
	reference func(records []record) int
	budget    float64 // CPU nanoseconds a record that the project has set itself, application and broker together
}

func jobs() []jobKind {
	return []jobKind{
		{"pass", "pass-through", passThrough, 1, referencePass, 400},
		{"count", "count, 10 k keys", countByKey, 1, referenceCount, 300},
		{"repartition", "repartition + count", countByValue, 2, referenceRepartition, 800},
	}
}

func passThrough(in, out string) (*topology.Topology, error) {
	b := stream.NewBuilder()
	stream.From(b, in, serde.Bytes, serde.Bytes).To(out, serde.Bytes, serde.Bytes)
	return b.Topology()
}

func countByKey(in, out string) (*topology.Topology, error) {
	b := stream.NewBuilder()
	stream.GroupByKey(stream.From(b, in, serde.String, serde.Bytes)).
		Count(stream.Materialized("counts", serde.Int64)).ToStream().To(out, serde.String, serde.Int64)
	return b.Topology()
}

func countByValue(in, out string) (*topology.Topology, error) {
	b := stream.NewBuilder()
	records := stream.From(b, in, serde.String, serde.Bytes)
	// The new key is a part of the value: a string would be an allocation of the job's own for each record.
	stream.GroupBy(records, func(_ string, v []byte) []byte { return v[:keyBytes] }, stream.GroupedWith(serde.Bytes, serde.Bytes)).
		Count(stream.Materialized("counts", serde.Int64)).ToStream().To(out, serde.Bytes, serde.Int64)
	return b.Topology()
}

// record is one record of the input.
type record struct{ key, value []byte }

// keyBytes is the length of a key.
const keyBytes = 9

// input returns the records of a job: random keys out of countKeys, and values of valueBytes that begin with another such key.
// The same number of records is the same input every time.
func input(n int) []record {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	key := func(dst []byte) []byte {
		dst = append(dst, "key-"...)
		return strconv.AppendInt(dst, 10_000+rng.Int64N(countKeys), 10) // five digits
	}
	slab := make([]byte, 0, n*(keyBytes+valueBytes))
	records := make([]record, n)
	for i := range records {
		start := len(slab)
		slab = key(slab)
		middle := len(slab)
		slab = key(slab)
		for len(slab)-middle < valueBytes {
			slab = binary.BigEndian.AppendUint64(slab, rng.Uint64())
		}
		slab = slab[:middle+valueBytes]
		records[i] = record{key: slab[start:middle:middle], value: slab[middle:len(slab):len(slab)]}
	}
	return records
}
