package operator

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// sentScope is a scope that takes what a sink sends.
type sentScope struct {
	scope
	partitions int32
	partition  int32
	raw        topology.Raw
}

func (s *sentScope) Partitions(string) int32 { return s.partitions }

func (s *sentScope) Send(_ topology.NodeID, _ string, partition int32, r *topology.Raw) error {
	s.partition, s.raw = partition, *r
	return nil
}

func sendTo[K, V any](t *testing.T, n *topology.Node, r topology.Record[K, V]) *sentScope {
	t.Helper()
	s := &sentScope{partitions: 1000}
	inst, err := n.Build(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	inst.Ports[0].(topology.Emit[K, V])(r)
	return s
}

// TestSinkPartitions: a topic of the user's has all windows of a key in one partition, that of the key (D-13).
func TestSinkPartitions(t *testing.T) {
	t.Parallel()
	const ofA = 524 // Kafka's partition of "a" among 1000
	if s := sendTo(t, Sink("n", "t", serde.String, serde.String), rec("a", "v")); s.partition != ofA {
		t.Errorf("partition %d of a, want %d", s.partition, ofA)
	}
	keys := window.KeySerde(serde.String, time.Second)
	r := topology.NewRecord(window.Windowed[string]{Key: "a", Start: 5000, End: 6000}, "v", 7)
	if s := sendTo(t, Sink("n", "t", keys, serde.String), r); s.partition != ofA {
		t.Errorf("partition %d of a window of a, want %d", s.partition, ofA)
	}
	whole, err := keys.Append(nil, r.Key)
	if err != nil {
		t.Fatal(err)
	}
	if s := sendTo(t, RepartitionSink("n", "t", keys, serde.String), r); s.partition != topology.PartitionOf(whole, 1000) {
		t.Errorf("partition %d in a repartition topic, want that of the whole key", s.partition)
	}
}

// TestKafkaPartitions compares the partitions that a sink chooses with those of Kafka's producer.
func TestKafkaPartitions(t *testing.T) {
	t.Parallel()
	packed, err := os.ReadFile("testdata/kafka-partitions.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Entries []struct {
			Key        string
			Partitions map[int32]int32
		}
	}
	if err := json.NewDecoder(plain).Decode(&file); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, e := range file.Entries {
		key, err := hex.DecodeString(e.Key)
		if err != nil {
			t.Fatal(err)
		}
		for n, want := range e.Partitions {
			s := &sentScope{partitions: n, partition: -1}
			inst, err := Sink("n", "t", serde.Bytes, serde.Bytes).Build(s, nil)
			if err != nil {
				t.Fatal(err)
			}
			inst.Ports[0].(topology.Emit[[]byte, []byte])(topology.NewRecord(key, key, 7))
			if s.partition != want {
				t.Errorf("key %s is sent to partition %d of %d, want %d", e.Key, s.partition, n, want)
			}
			compared++
		}
	}
	if compared < 500 {
		t.Errorf("%d partitions compared", compared)
	}
}

// TestSinkNil: nil is written as null, even if a processor made a record that does not say so.
func TestSinkNil(t *testing.T) {
	t.Parallel()
	s := sendTo(t, Sink("n", "t", serde.Nullable(serde.String), serde.Bytes), topology.NewRecord[*string, []byte](nil, nil, 7))
	if s.raw.Key != nil || s.raw.Value != nil {
		t.Errorf("nil was written as %q and %q", s.raw.Key, s.raw.Value)
	}
	s = sendTo(t, Sink("n", "t", serde.Bytes, serde.Bytes), topology.NewRecord([]byte{}, []byte{}, 7))
	if s.raw.Key == nil || s.raw.Value == nil {
		t.Error("empty bytes were written as null")
	}
}
