package topologytest

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace-io/millrace/topology"
)

// OutOfOrder returns records in an order in which they might arrive: a record comes behind others of later event times, but never behind one
// that is more than late ahead of it. So a grace period of late loses nothing. Equal seeds give equal orders; name the seed in a failure.
//
// A late of 0 sorts by event time, keeping the order of equal times.
func OutOfOrder[K, V any](seed uint64, late time.Duration, records []topology.Record[K, V]) []topology.Record[K, V] {
	r := rand.New(rand.NewPCG(seed, 0))
	type arrival struct {
		at     int64
		record topology.Record[K, V]
	}
	arrivals := make([]arrival, len(records))
	for i, rec := range records {
		arrivals[i] = arrival{rec.Timestamp + r.Int64N(max(0, late.Milliseconds())+1), rec}
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	out := make([]topology.Record[K, V], len(records))
	for i, a := range arrivals {
		out[i] = a.record
	}
	return out
}
