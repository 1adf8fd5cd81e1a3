package keyschema

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestGolden fixes the layout: a change here is another Version, and a migration.
func TestGolden(t *testing.T) {
	t.Parallel()
	rec := &Record{
		Kind: 1, BucketWidth: 86_400_000, Newest: 1_700_000_000_000, HasNewest: true,
		HasPosition: true, ClusterID: "cluster", TopicID: [16]byte{1, 15: 2}, Partition: 3, Next: 41_877,
	}
	window := AppendStart(append(AppendBucket(DataPrefix("w", 1), 19_675), "key"...), 1_700_000_000_000)
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"version key", VersionKey(), "00"},
		{"version", AppendVersion(nil), "00000001"},
		{"record key", RecordKey("counts", 7), "0106636f756e747300000007"},
		{"key of a key-value entry", append(DataPrefix("counts", 7), "key"...), "0206636f756e7473000000076b6579"},
		{"key of a window", window, "020177000000018000000000004cdb6b65798000018bcfe56800"},
		{"record", AppendRecord(nil, rec), "010103" + "0000000005265c00" + "0000018bcfe56800" + "000000000000a395" + "00000003" +
			"01000000000000000000000000000002" + hex.EncodeToString([]byte("cluster"))},
		{"record without position", AppendRecord(nil, &Record{}), "010000" + hex.EncodeToString(make([]byte, 44))},
		{"record with a time", AppendRecord(nil, &Record{HasPosition: true, AsOf: 1700000000000, ClusterID: "c"}), "01000a" +
			hex.EncodeToString(make([]byte, 44)) + "0000018bcfe56800" + "63"},
		{"record of a store that keeps headers", AppendRecord(nil, &Record{Headers: true}), "010004" + hex.EncodeToString(make([]byte, 44))},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// recorded reads a recorded case, see stream/testdata/README.md: from the folder that MILLRACE_VECTORS names, or from the project's own.
func recorded(t *testing.T, name string) []byte {
	t.Helper()
	dir := os.Getenv("MILLRACE_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "stream", "testdata", "vectors")
	}
	path := filepath.Join(dir, name+".json")
	b, err := os.ReadFile(path)
	if err == nil {
		return b
	}
	f, err := os.Open(path + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKafka compares keys of changelogs with what Kafka Streams writes. Other formats of the file are of topics, or local to its stores.
func TestKafka(t *testing.T) {
	t.Parallel()
	var file struct {
		Entries []struct {
			Format, Key, Bytes string
			Start, End         int64
			Sequence           uint32
		}
	}
	if err := json.Unmarshal(recorded(t, "bytes-window-keys"), &file); err != nil {
		t.Fatal(err)
	}
	const windows, sessions = "window store and changelog key: key, start (8), sequence (4)", "session store and changelog key: key, end (8), start (8)"
	seen := map[string]int{}
	for _, v := range file.Entries {
		seen[v.Format]++
		var got, key []byte
		var start, end int64
		var sequence uint32
		var err error
		switch {
		case v.Format == sessions:
			got = AppendSessionChangelog(nil, []byte(v.Key), v.Start, v.End)
			key, start, end, err = SplitSessionChangelog(got)
		case v.Format == windows && v.Sequence == 0:
			got = AppendWindowChangelog(nil, []byte(v.Key), v.Start)
			key, start, err = SplitWindowChangelog(got)
			end = v.End
		case v.Format == windows:
			got = AppendDuplicateChangelog(nil, []byte(v.Key), v.Start, v.Sequence)
			key, start, sequence, err = SplitDuplicateChangelog(got)
			end = v.End
		default:
			continue
		}
		if hex.EncodeToString(got) != v.Bytes {
			t.Errorf("%s %q at %d: %x, want %s", v.Format, v.Key, v.Start, got, v.Bytes)
		}
		if err != nil || string(key) != v.Key || start != v.Start || end != v.End || sequence != v.Sequence {
			t.Errorf("%x: read as %q from %d to %d, %d, %v", got, key, start, end, sequence, err)
		}
	}
	if seen[windows] == 0 || seen[sessions] == 0 {
		t.Errorf("only %v vectors", seen)
	}
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		size, retention, want time.Duration
	}{
		{time.Second, time.Minute, 15 * time.Second},
		{time.Hour, time.Hour, time.Hour},
		{time.Hour, 200 * 365 * day, day},
		{365 * day, 200 * 365 * day, 365 * day},
		{0, 0, time.Millisecond},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		if got := BucketWidth(c.size, c.retention); got != c.want.Milliseconds() {
			t.Errorf("BucketWidth(%v, %v) = %d", c.size, c.retention, got)
		}
	}
	for _, c := range []struct {
		start int64
		want  Bucket
	}{{0, 0}, {9, 0}, {10, 1}, {-1, -1}, {-10, -1}, {-11, -2}, {math.MinInt64, math.MinInt64/10 - 1}} {
		if got := BucketOf(c.start, 10); got != c.want {
			t.Errorf("BucketOf(%d, 10) = %d, want %d", c.start, got, c.want)
		}
	}
}

// TestOrder: the bytes of buckets and starts sort by time.
func TestOrder(t *testing.T) {
	t.Parallel()
	starts := []int64{math.MinInt64, -86_400_001, -1, 0, 1, 86_400_000, 1_700_000_000_000, math.MaxInt64}
	var keys []string
	for _, s := range starts {
		k := AppendStart(append(AppendBucket(nil, BucketOf(s, 86_400_000)), 'k'), s)
		keys = append(keys, string(k))
		b, err := BucketAt(k)
		key, start, err2 := SplitWindow(k)
		if err != nil || err2 != nil || b != BucketOf(s, 86_400_000) || string(key) != "k" || start != s {
			t.Errorf("%x: read as %d, %q, %d, %v, %v", k, b, key, start, err, err2)
		}
	}
	if !slices.IsSorted(keys) {
		t.Errorf("not sorted: %x", keys)
	}
}

// TestStoresApart: no store's range holds another's keys, whatever their names.
func TestStoresApart(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 6))
	names := []string{"", "a", "ab", "b", "\x01a", "a\x00", "\xff", "\xff\xff", string(make([]byte, 200))}
	for range 5000 {
		a, b := names[r.IntN(len(names))], names[r.IntN(len(names))]
		pa, pb := int32(r.Uint32()), int32(r.IntN(3)-1)
		if r.IntN(2) == 0 {
			pa = int32(r.IntN(3) - 1)
		}
		if a == b && pa == pb {
			continue
		}
		prefix := DataPrefix(a, pa)
		key := append(DataPrefix(b, pb), fmt.Sprint(r.IntN(10))...)
		if hi := Successor(prefix); bytes.Compare(key, prefix) >= 0 && (hi == nil || bytes.Compare(key, hi) < 0) {
			t.Fatalf("a key of %q-%d lies in the range of %q-%d", b, pb, a, pa)
		}
		store, partition, err := ParseRecordKey(RecordKey(a, pa))
		if err != nil || store != a || partition != pa {
			t.Fatalf("record key of %q-%d read as %q-%d, %v", a, pa, store, partition, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(AppendRecord(nil, &Record{HasPosition: true, ClusterID: "c"}))
	f.Add(AppendRecord(nil, &Record{HasPosition: true, AsOf: 1, ClusterID: "c"}))
	f.Add(RecordKey("store", 1))
	f.Add(AppendVersion(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseRecord(b); err == nil && !bytes.Equal(AppendRecord(nil, &r), b) {
			t.Errorf("record %x is written as %x", b, AppendRecord(nil, &r))
		}
		if store, partition, err := ParseRecordKey(b); err == nil {
			// A length may be written longer than need be; what is read must be readable again.
			if s, p, err := ParseRecordKey(RecordKey(store, partition)); err != nil || s != store || p != partition {
				t.Errorf("record key %x does not round-trip", b)
			}
		}
		if key, start, err := SplitWindowChangelog(b); err == nil && start >= 0 {
			if got := AppendWindowChangelog(nil, key, start); !bytes.Equal(got[:len(got)-SequenceLen], b[:len(b)-SequenceLen]) {
				t.Errorf("changelog key %x is written as %x", b, got)
			}
		}
		_, _ = ParseVersion(b)
		_, _ = BucketAt(b)
		_, _, _ = SplitWindow(b)
	})
}
