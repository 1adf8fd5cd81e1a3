package main

import (
	"encoding/binary"
	"maps"
	"runtime"
	"slices"
)

// The reference loops do what a job cannot do without: take each record, decode what the job looks at, keep the counts, and encode the
// output. They have no log, no transactions and no types; what a job costs beyond them is the price of these.

// commitEvery is after how many records a reference loop writes its counts out, as a commit does.
const commitEvery = 50_000

func referencePass(records []record) int {
	out := make([]byte, 0, 1<<20)
	total := 0
	for _, r := range records {
		if len(out) > 1<<20-256 {
			total += len(out)
			out = out[:0]
		}
		out = appendRecord(out, r.key, r.value)
	}
	return total + len(out)
}

func referenceCount(records []record) int {
	counts := make(map[string]int64, countKeys)
	total := 0
	for i, r := range records {
		counts[string(r.key)]++
		if i%commitEvery == commitEvery-1 {
			total += writeCounts(counts)
		}
	}
	return total + writeCounts(counts)
}

func referenceRepartition(records []record) int {
	var parts [partitions][]byte
	for _, r := range records {
		key := r.value[:keyBytes]
		h := uint32(2166136261)
		for _, b := range key {
			h = (h ^ uint32(b)) * 16777619
		}
		parts[h%partitions] = appendRecord(parts[h%partitions], key, r.value)
	}
	total := 0
	for _, p := range parts {
		counts := make(map[string]int64, countKeys/partitions)
		for i := 0; len(p) > 0; i++ {
			n, w := binary.Uvarint(p)
			counts[string(p[w:w+int(n)])]++
			p = p[w+int(n):]
			n, w = binary.Uvarint(p)
			p = p[w+int(n):]
			if i%commitEvery == commitEvery-1 {
				total += writeCounts(counts)
			}
		}
		total += writeCounts(counts)
	}
	return total
}

func appendRecord(dst, key, value []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

func writeCounts(counts map[string]int64) int {
	out := make([]byte, 0, len(counts)*24)
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, k...)
		out = binary.BigEndian.AppendUint64(out, uint64(counts[k]))
	}
	return len(out)
}

// referenceCost measures the reference loop of a job, the best of three.
func referenceCost(j jobKind, n int) float64 {
	records := input(n)
	best := 0.0
	for range 3 {
		runtime.GC()
		before := cpuTime()
		runtime.KeepAlive(j.reference(records)) // so that it is not left out
		used := float64(cpuTime()-before) / float64(n)
		if best == 0 || used < best {
			best = used
		}
	}
	return best
}
