package stream_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/stream/internal/murmur3"
	"github.com/millrace-io/millrace/stream/internal/operator"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// vectorEntry is one entry of a bytes- case. Which fields it has depends on the format.
type vectorEntry struct {
	Format, Serde, Bytes string
	Data                 string           // murmur3
	Hash                 string           `json:"murmur3_128"`
	Key                  string           // in hexadecimal, if partitions are chosen by it
	Murmur2              int32            `json:"murmur2"`
	Partitions           map[string]int32 // by partition count
	Value, New, Old      *string
	Number               *int64 `json:"key_long"` // the key, if it is a number
	Time                 int64  `json:"ts"`
	Start, End           int64
	Sequence             uint32
}

// comparedBy are the bytes- cases, or the formats of them, that tests of the packages compare in which the formats live: the path
// of the test's file from here, and the test. They read the same files.
var comparedBy = map[string][2]string{
	"bytes-foreign-key":     {"internal/operator/kafka_test.go", "TestKafkaForeignKeys"},
	"bytes-stream-join":     {"internal/operator/kafka_test.go", "TestKafkaStreamJoin"},
	"bytes-offset-metadata": {"../runtime/internal/commit/kafka_test.go", "TestKafkaMetadata"},

	"window store and changelog key: key, start (8), sequence (4)": {"../state/internal/keyschema/keyschema_test.go", "TestKafka"},
	"session store and changelog key: key, end (8), start (8)":     {"../state/internal/keyschema/keyschema_test.go", "TestKafka"},

	"headers": {"../state/internal/keyschema/headers_test.go", "TestKafkaHeaders"},
	"value with time and headers (dsl.store.format=HEADERS)":    {"../state/internal/keyschema/headers_test.go", "TestKafkaHeaders"},
	"session aggregate with headers (dsl.store.format=HEADERS)": {"../state/internal/keyschema/headers_test.go", "TestKafkaHeaders"},
}

// unshared are formats that never leave a process of Kafka Streams, or that Millrace does not have, with the reason.
var unshared = map[string]string{
	"window store key, time first: start (8), key, sequence (4)": "local to Kafka Streams' stores; ours are laid out by time bucket (state/FORMAT.md)",
	"session store key, time first: end (8), start (8), key":     "local to Kafka Streams' stores",
	"uuid":         "D-06: no serde of Go's has a UUID; its form is that of a string",
	"list(string)": "D-06: no serde of lists; give one of your own",
	"list(long)":   "D-06: no serde of lists; give one of your own",
}

// compareBytes compares a bytes- case, entry by entry. It returns how many entries it compared itself.
func compareBytes(t testing.TB, v vector) (compared int) {
	t.Helper()
	if by, ok := comparedBy[v.Case]; ok {
		checkTest(t, by[0], by[1])
		t.Logf("%d entries are compared by %s of %s", len(v.Entries), by[1], filepath.Dir(by[0]))
		return 0
	}
	others := map[string]int{}
	for i, e := range v.Entries {
		format := e.Format + e.Serde
		compare := byteFormats[format]
		if format == "" {
			compare = byteFormats[v.Case]
		}
		switch {
		case compare != nil:
			if fault := compare(t, e); fault != "" {
				t.Errorf("case %s, entry %d: %s", v.Case, i, fault)
			}
			compared++
		case comparedBy[format] != [2]string{}:
			checkTest(t, comparedBy[format][0], comparedBy[format][1])
			others[comparedBy[format][1]+": "+format]++
		case unshared[format] != "":
			others[unshared[format]+": "+format]++
		default:
			t.Errorf("case %s, entry %d: nothing stands for the format %q", v.Case, i, format)
		}
	}
	for why, n := range others {
		t.Logf("%d entries are not compared here: %s", n, why)
	}
	return compared
}

// checkTest checks that a test file has a test that reads the vectors.
func checkTest(t testing.TB, path, name string) {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Error(err)
		return
	}
	if !bytes.Contains(b, []byte("func "+name+"(t *testing.T)")) {
		t.Errorf("%s has no %s", path, name)
	}
}

// byteFormats are the formats that are compared here, by format, serde or case. A function returns what is wrong, empty if nothing.
var byteFormats = map[string]func(testing.TB, vectorEntry) string{
	"string": func(_ testing.TB, e vectorEntry) string { return roundTrip(serde.String, *e.Value, e.Bytes) },
	"long":   func(t testing.TB, e vectorEntry) string { return roundTrip(serde.Int64, integer(t, e, 64), e.Bytes) },
	"integer": func(t testing.TB, e vectorEntry) string {
		return roundTrip(serde.Int32, int32(integer(t, e, 32)), e.Bytes)
	},
	"short": func(t testing.TB, e vectorEntry) string {
		return roundTrip(serde.Int16, int16(integer(t, e, 16)), e.Bytes)
	},
	"double": func(t testing.TB, e vectorEntry) string { return roundTrip(serde.Float64, number(t, e), e.Bytes) },
	"float": func(t testing.TB, e vectorEntry) string {
		return roundTrip(serde.Float32, float32(number(t, e)), e.Bytes)
	},
	"boolean": func(_ testing.TB, e vectorEntry) string { return roundTrip(serde.Bool, *e.Value == "true", e.Bytes) },

	"bytes-murmur3": func(t testing.TB, e vectorEntry) string {
		sum := murmur3.Sum(unhex(t, e.Data))
		return differ(e.Data, hex.EncodeToString(sum[:]), e.Hash)
	},
	"bytes-partitioner":                           comparePartitions,
	"timestamped value: time (8), value":          compareStoredValue,
	"change of a table in a repartition topic":    compareChange,
	"topic key, time window: key, start (8)":      compareWindowKey,
	"topic key, session: key, end (8), start (8)": compareSessionKey,
}

func differ(what, got, want string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s: %s, want %s", what, got, want)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func integer(t testing.TB, e vectorEntry, bits int) int64 {
	t.Helper()
	n, err := strconv.ParseInt(*e.Value, 10, bits)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func number(t testing.TB, e vectorEntry) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(*e.Value, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// roundTrip encodes a value, compares, and decodes again.
func roundTrip[T any](s serde.Serde[T], v T, want string) string {
	b, err := s.Append(nil, v)
	if err != nil {
		return err.Error()
	}
	if hex.EncodeToString(b) != want {
		return fmt.Sprintf("%v is written as %x, want %s", v, b, want)
	}
	back, err := s.Decode(b)
	if err != nil || fmt.Sprint(back) != fmt.Sprint(v) {
		return fmt.Sprintf("%x is read as %v, %v, want %v", b, back, err, v)
	}
	return ""
}

func comparePartitions(t testing.TB, e vectorEntry) string {
	key := unhex(t, e.Key)
	if h := int32(topology.Murmur2(key)); h != e.Murmur2 {
		return fmt.Sprintf("murmur2 of %s: %d, want %d", e.Key, h, e.Murmur2)
	}
	for count, want := range e.Partitions {
		n, err := strconv.ParseInt(count, 10, 32)
		if err != nil {
			return err.Error()
		}
		if p := topology.PartitionOf(key, int32(n)); p != want {
			return fmt.Sprintf("key %s: partition %d of %d, want %d", e.Key, p, n, want)
		}
	}
	return ""
}

// logged is the last record of a changelog.
type logged struct {
	value []byte
	time  int64
}

func (l *logged) Append(_, value []byte, timestamp int64) error {
	l.value, l.time = bytes.Clone(value), timestamp
	return nil
}

// compareStoredValue: time and value are apart in a changelog: the plain value, and the record's time (S-33).
func compareStoredValue(t testing.TB, e vectorEntry) string {
	db, err := state.NewDB(memstore.New(), state.Config{Inline: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	spec := state.KeyValueSpec("s", serde.String, serde.String)
	p, err := db.Partition(spec, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Reset(state.Position{}); err != nil {
		t.Fatal(err)
	}
	log := new(logged)
	layer, err := spec.Open(state.Env{Committed: p, Changelog: log})
	if err != nil {
		t.Fatal(err)
	}
	store := layer.(*state.KeyValue[string, string])
	if err := store.Put("k", *e.Value, e.Time, serde.Headers{}); err != nil {
		return err.Error()
	}
	if err := store.Flush(); err != nil {
		return err.Error()
	}
	kafka := append(binary.BigEndian.AppendUint64(nil, uint64(log.time)), log.value...)
	return differ("time and value of the changelog", hex.EncodeToString(kafka), e.Bytes)
}

func compareChange(_ testing.TB, e vectorEntry) string {
	maybe := func(s *string) serde.Maybe[string] {
		if s == nil {
			return serde.None[string]()
		}
		return serde.Some(*s)
	}
	return roundTrip(operator.Changes(serde.String), state.Change[string]{New: maybe(e.New), Old: maybe(e.Old), Latest: true}, e.Bytes)
}

func compareWindowKey(_ testing.TB, e vectorEntry) string {
	if e.Number != nil {
		s := window.KeySerde(serde.Int64, time.Duration(e.End-e.Start)*time.Millisecond)
		return roundTrip(s, window.Windowed[int64]{Key: *e.Number, Start: e.Start, End: e.End}, e.Bytes)
	}
	s := window.KeySerde(serde.String, time.Duration(e.End-e.Start)*time.Millisecond)
	if e.End == math.MaxInt64 {
		s = window.UnlimitedKeySerde(serde.String)
	}
	return roundTrip(s, window.Windowed[string]{Key: e.Key, Start: e.Start, End: e.End}, e.Bytes)
}

func compareSessionKey(_ testing.TB, e vectorEntry) string {
	return roundTrip(window.SessionKeySerde(serde.String), window.Windowed[string]{Key: e.Key, Start: e.Start, End: e.End}, e.Bytes)
}

// corruptBytes changes one expectation of an entry, if it is of a format that is compared here.
func corruptBytes(v vector, e *vectorEntry) bool {
	format := e.Format + e.Serde
	if format == "" {
		format = v.Case
	}
	if byteFormats[format] == nil {
		return false
	}
	flip := func(s string) string {
		if strings.HasPrefix(s, "0") {
			return "1" + s[min(1, len(s)):]
		}
		return "0" + s[min(1, len(s)):]
	}
	switch {
	case e.Hash != "":
		e.Hash = flip(e.Hash)
	case e.Partitions != nil:
		e.Murmur2++
	default:
		e.Bytes = flip(e.Bytes)
	}
	return true
}
