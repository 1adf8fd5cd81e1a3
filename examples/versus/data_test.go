package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"
)

// TestInputIsWhatItIsForOthers: the SHA-256 over key, value and time of the first 10,000 records, as the Java program that the first
// baselines were measured with printed them.
func TestInputIsWhatItIsForOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   input
		want string
	}{
		{streamInput("", streamSeed, 10_000, 10_000), "300211131c87b9e1eac7ef38d5b73e06183b37375757970267ee1a0a838b752c"},
		{streamInput("", streamSeed, 10_000, 100_000), "4578f041c55c04cd5c8a7563496d3e8eead4eda3a7592abac93f5d3fe179a15d"},
		{streamInput("", streamSeed, 10_000, 1_000_000), "f880035aa77ef1af9d6017a117d24f7b9e8afba2577a5e700f706ea385046809"},
		{tableInput("", 10_000), "77d6978f3c79eda39ed5845bcab5881a49f1086a7ab9c37a550fd91dcfc144c0"},
	} {
		h := sha256.New()
		for n := range c.in.records {
			r := c.in.at(n)
			h.Write(r.key)
			h.Write(r.value)
			h.Write(binary.BigEndian.AppendUint64(nil, uint64(r.timestamp)))
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != c.want {
			t.Errorf("SHA-256 %s, want %s", got, c.want)
		}
	}
	order := shuffled{limit: 10_000_000}
	for i, want := range []int64{0, 9497313, 9864847, 2213314} {
		if got := order.next(); got != want {
			t.Errorf("entry %d of the shuffled order is %d, want %d", i, got, want)
		}
	}
}

func TestShuffledHasEachNumberOnce(t *testing.T) {
	t.Parallel()
	const limit = 1000
	order, seen := shuffled{limit: limit}, make(map[int64]bool)
	for range limit {
		seen[order.next()] = true
	}
	if len(seen) != limit {
		t.Errorf("%d different numbers of %d", len(seen), limit)
	}
}
