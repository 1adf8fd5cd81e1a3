package murmur3_test

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/millrace-io/millrace/stream/internal/murmur3"
)

// TestVectors compares with the hashes that Kafka Streams 4.4.0 computes (D-132).
func TestVectors(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/murmur3.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Entries []struct{ Data, Murmur3_128 string }
	}
	if err := json.NewDecoder(z).Decode(&v); err != nil {
		t.Fatal(err)
	}
	if len(v.Entries) < 100 {
		t.Fatalf("only %d entries", len(v.Entries))
	}
	for _, e := range v.Entries {
		data, err := hex.DecodeString(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if sum := murmur3.Sum(data); hex.EncodeToString(sum[:]) != e.Murmur3_128 {
			t.Errorf("%s: %x, want %s", e.Data, sum, e.Murmur3_128)
		}
	}
}
