package operator

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/internal/murmur3"
)

// kafkaEntry is an entry of a recorded byte format, see stream/testdata/README.md.
type kafkaEntry struct {
	Format, Foreign, Primary, Instruction, Side, Key, Bytes string
	Left                                                    *string `json:"left_value"`
	Right                                                   *string `json:"right_value"`
	Value                                                   string
	Time                                                    int64 `json:"ts"`
	Partition                                               int32
}

// kafkaEntries reads a recorded byte format, from the folder that MILLRACE_VECTORS names or from the project's own.
func kafkaEntries(t *testing.T, name string) []kafkaEntry {
	t.Helper()
	dir := os.Getenv("MILLRACE_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "testdata", "vectors")
	}
	b, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		b, err = unzip(filepath.Join(dir, name+".json.gz"))
	}
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Entries []kafkaEntry }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Entries) == 0 {
		t.Fatalf("%s: no entries", name)
	}
	return file.Entries
}

func unzip(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// written checks that v is written as an entry says, and read back if s can be read.
func written[T comparable](t *testing.T, e kafkaEntry, s serde.Serde[T], v T) {
	t.Helper()
	b, err := s.Append([]byte("kept"), v)
	if err != nil || hex.EncodeToString(b[4:]) != e.Bytes {
		t.Errorf("%s %v: %x, %v, want %s", e.Format, v, b[min(4, len(b)):], err, e.Bytes)
		return
	}
	if got, err := s.Decode(b[4:]); err != nil || got != v {
		t.Errorf("%s %x: read as %v, %v, want %v", e.Format, b[4:], got, err, v)
	}
}

func (e kafkaEntry) hash() fingerprint {
	if e.Left == nil {
		return fingerprint{}
	}
	return fingerprint{murmur3.Sum([]byte(*e.Left)), true}
}

// TestKafkaForeignKeys compares the messages and store keys of a foreign-key join with Kafka Streams' (D-132, D-135, D-136).
func TestKafkaForeignKeys(t *testing.T) {
	t.Parallel()
	instructions := map[string]instruction{}
	for i := deleteSilently; i <= answerIfPresent; i++ {
		instructions[i.String()] = i
	}
	for _, e := range kafkaEntries(t, "bytes-foreign-key") {
		i, known := instructions[e.Instruction]
		if e.Instruction != "" && !known {
			t.Errorf("instruction %q is unknown", e.Instruction)
		}
		s := Subscription{primary: e.Primary, hash: e.hash(), instruction: i, partition: e.Partition}
		switch e.Format {
		case "subscription store key: length of the foreign key (4), foreign key, primary key",
			"prefix of the subscription store key for a scan":
			b, err := appendForeign([]byte("kept"), serde.String, e.Foreign)
			b = append(b, e.Primary...)
			if err != nil || hex.EncodeToString(b[4:]) != e.Bytes {
				t.Errorf("%s %q %q: %x, %v, want %s", e.Format, e.Foreign, e.Primary, b[4:], err, e.Bytes)
			}
		case "subscription message, version 1 (current)":
			written(t, e, Subscriptions, s)
		case "subscription message, version 0": // is only read: Kafka Streams before 3.2 wrote it
			b, err := hex.DecodeString(e.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Subscriptions.Decode(b); err != nil || got != s {
				t.Errorf("%s %x: read as %v, %v, want %v", e.Format, b, got, err, s)
			}
		case "response message":
			r := Response[string]{hash: e.hash()}
			if e.Right != nil && *e.Right != "" { // a row of no bytes is the same as none
				r.row = serde.Some(*e.Right)
			}
			written(t, e, Responses(serde.String), r)
		default:
			t.Errorf("nothing stands for the format %q", e.Format)
		}
	}
}

// TestKafkaStreamJoin compares keys and values of the store of unmatched records with Kafka Streams' (D-110, D-112).
func TestKafkaStreamJoin(t *testing.T) {
	t.Parallel()
	for _, e := range kafkaEntries(t, "bytes-stream-join") {
		left := e.Side == "left"
		switch e.Format {
		case "key of the shared store of a left or outer join":
			written(t, e, parkedKeys[string]{serde.String}, parkedKey[string]{e.Time, left, e.Key})
		case "one value of the shared store":
			entry, err := appendParked(nil, left, serde.String, e.Value)
			if err != nil || hex.EncodeToString(entry) != e.Bytes {
				t.Errorf("%s %q: %x, %v, want %s", e.Side, e.Value, entry, err, e.Bytes)
			}
			if value, err := parkedValue(entry); err != nil || string(value) != e.Value {
				t.Errorf("%x: read as %q, %v, want %q", entry, value, err, e.Value)
			}
		default:
			t.Errorf("nothing stands for the format %q", e.Format)
		}
	}
}
