package topology_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// stage is a Scope of one node that writes down what the node does.
type stage struct {
	partitions int32
	layer      state.Layer
	trace      []string
}

func (s *stage) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}
func (s *stage) take() string                                          { out := lines(s.trace...); s.trace = nil; return out }
func (s *stage) Partitions(string) int32                               { return s.partitions }
func (s *stage) Store(string) state.Layer                              { return s.layer }
func (s *stage) StreamTime() int64                                     { return 7 }
func (s *stage) Partition() int32                                      { return 0 }
func (s *stage) Now() int64                                            { return 8 }
func (s *stage) Child(topology.NodeID, string) (any, bool)             { return nil, false }
func (s *stage) SetSource(c topology.Coordinates) topology.Coordinates { return c }
func (s *stage) Source() topology.Coordinates {
	return topology.Coordinates{Topic: "in", Partition: 1, Offset: 2}
}
func (s *stage) RequestCommit()                          { s.note("commit") }
func (s *stage) OperatorTime(string) *int64              { return new(int64(-1)) }
func (s *stage) LastClose(string) *int64                 { return new(int64(-1)) }
func (s *stage) Guarded() bool                           { return false }
func (s *stage) Fail(n topology.NodeID, err error) error { s.note("fail %d: %v", n, err); return nil }
func (s *stage) Drop(n topology.NodeID, reason topology.Reason, detail error) {
	s.note("drop %d: %s: %v", n, reason, detail)
}

func (s *stage) Schedule(interval int64, wall bool, f func(int64) error) func() {
	s.note("schedule %d %v: %v", interval, wall, f(9))
	return func() { s.note("cancel") }
}

func (s *stage) Send(_ topology.NodeID, topic string, partition int32, r *topology.Raw) error {
	value := "null"
	if r.Value != nil {
		value = fmt.Sprintf("%q", r.Value)
	}
	key := "null"
	if r.Key != nil {
		key = fmt.Sprintf("%q", r.Key)
	}
	s.note("%s-%d %s=%s@%d %v", topic, partition, key, value, r.Timestamp, r.Headers)
	return nil
}

// D2: what travels between operators stays small.
func TestRecordSize(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(topology.Record[string, string]{}); size > 80 {
		t.Errorf("Record[string, string] has %d bytes", size)
	}
}

func sinkOf[K, V any](t *testing.T, s *stage, n *topology.Node) topology.Emit[K, V] {
	t.Helper()
	inst, err := n.Build(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return inst.Ports[0].(topology.Emit[K, V])
}

func TestSink(t *testing.T) {
	t.Parallel()
	s := &stage{partitions: 4}
	write := sinkOf[string, string](t, s, topology.NewSink("k", "out", text{}, text{}))
	headers := serde.Headers{}.With("h", []byte("1"))
	for _, r := range []topology.Record[string, string]{
		{Key: "a", Value: "v", Timestamp: 5, Headers: headers},
		topology.Tombstone[string, string]("abcd", 6),
		topology.NewRecord("", "", 7), // empty is not null
		topology.NewRecord("", "v", 8).WithoutKey(),
		topology.NewRecord("abc", "v", 9),
		topology.NewRecord("k", "unencodable", 10),
		topology.NewRecord("unencodable", "v", 11),
	} {
		write(r)
	}
	want := lines(
		`out-0 "a"="v"@5 [{h [49]}]`,
		`out-0 "abcd"=null@6 []`,
		`out-1 ""=""@7 []`,
		`out-0 null="v"@8 []`,
		`out-3 "abc"="v"@9 []`,
		`fail 0: encode for topic out: value: unencodable`,
		`fail 0: encode for topic out: key: unencodable`)
	if got := s.take(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	err := error(&topology.EncodeError{Topic: "out", Err: errUnencodable})
	if !errors.Is(err, errUnencodable) || topology.ReasonOf(err, "other") != topology.ReasonSerialization {
		t.Errorf("EncodeError: %v", err)
	}
}

// TestSinkOptions: a sink's partitioner is asked, and topics are chosen (P-28).
func TestSinkOptions(t *testing.T) {
	t.Parallel()
	s := &stage{partitions: 4}
	write := sinkOf[string, string](t, s, topology.NewSink("k", "out", text{}, text{}, topology.KeyedOnly[string, string](),
		topology.WithPartitioner(func(topic string, r *topology.Record[string, string], key []byte, n int32) int32 {
			s.note("choose for %s of %s %q %d", topic, r.Value, key, n)
			return int32(len(key)) - 1
		})))
	write(topology.NewRecord("abc", "v", 1))
	write(topology.NewRecord("", "v", 2))
	write(topology.NewRecord("", "v", 3).WithoutKey())
	want := lines(`choose for out of v "abc" 4`, `out-2 "abc"="v"@1 []`, `choose for out of v "" 4`, `drop 0: no partition: <nil>`,
		`drop 0: null key before repartition: <nil>`)
	if got := s.take(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Of a type that can hold nil, nil is null, flagged or not.
func TestSinkOfNilable(t *testing.T) {
	t.Parallel()
	s := &stage{partitions: 1}
	write := sinkOf[[]byte, []byte](t, s, topology.NewSink("k", "out", blob{}, blob{}))
	write(topology.NewRecord[[]byte, []byte](nil, nil, 1))
	write(topology.NewRecord([]byte{}, []byte{}, 2))
	if got, want := s.take(), lines("out-0 null=null@1 []", `out-0 ""=""@2 []`); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Records without a key fill one partition after the other, in large pieces.
func TestSinkSpreads(t *testing.T) {
	t.Parallel()
	s := &stage{partitions: 3}
	write := sinkOf[string, string](t, s, topology.NewSink("k", "out", text{}, text{}))
	r := topology.NewRecord("", strings.Repeat("x", 1<<10), 1).WithoutKey()
	runs := ""
	for range 80 {
		write(r)
		to := s.take()[4:5]
		if !strings.HasSuffix(runs, to) {
			runs += to
		}
	}
	if runs != "01201" {
		t.Errorf("partitions in the order %s", runs)
	}
}

func headOf(t *testing.T, n *topology.Node, emit topology.Emit[string, string]) topology.Head {
	t.Helper()
	inst, err := n.Build(&stage{}, emit)
	if err != nil {
		t.Fatal(err)
	}
	return inst.Ports[0].(topology.NewHead)()
}

func TestSource(t *testing.T) {
	t.Parallel()
	var got topology.Record[string, string]
	h := headOf(t, topology.NewSource("s", []string{"in"}, text{}, text{}), func(r topology.Record[string, string]) { got = r })
	decode := func(r topology.Raw) (int64, error) { return h.Decode(topology.Coordinates{}, &r, -1) }

	value := []byte("1")
	at, err := decode(topology.Raw{Key: []byte("k"), Value: []byte("v"), Timestamp: 5, Headers: []topology.Header{{Key: "h", Value: value}, {Key: "null"}}})
	value[0] = 'x' // the batch is gone
	h.Emit()
	if v, _ := got.Headers.Last("h"); cap(v) != 1 {
		t.Error("appending to a header's value would reach into the next one")
	}
	if at != 5 || err != nil || got.Key != "k" || got.Value != "v" || got.Timestamp != 5 || fmt.Sprint(got.Headers.All()) != "[{h [49]} {null []}]" {
		t.Errorf("decoded %d, %v, %+v %v", at, err, got, got.Headers.All())
	}
	if v, _ := got.Headers.Last("null"); v != nil {
		t.Error("a null header value became empty")
	}
	if _, err := decode(topology.Raw{}); err != nil {
		t.Error(err)
	}
	h.Emit()
	if got.HasKey() || got.HasValue() || len(got.Headers.All()) != 0 {
		t.Errorf("null key and value decoded as %+v", got)
	}
	if _, err := decode(topology.Raw{Value: []byte{}}); err != nil {
		t.Error(err)
	}
	h.Emit()
	if got.HasKey() || !got.HasValue() {
		t.Errorf("an empty value decoded as %+v", got)
	}
	for _, r := range []topology.Raw{{Key: []byte("bad")}, {Value: []byte("bad")}} {
		if _, err := decode(r); !errors.Is(err, errBad) {
			t.Errorf("decode of %s=%s: %v", r.Key, r.Value, err)
		}
	}
	if _, err := decode(topology.Raw{Timestamp: -1}); topology.ReasonOf(err, "other") != topology.ReasonTimestamp {
		t.Errorf("decode of a negative time: %v", err)
	}
	if _, err := topology.NewSource("s", nil, text{}, text{}).Build(&stage{}, "no emit"); err == nil {
		t.Error("built with a string")
	}
}

func TestExtractor(t *testing.T) {
	t.Parallel()
	errExtract := errors.New("no time in it")
	var emitted int64
	h := headOf(t, topology.NewSource("s", []string{"in"}, text{}, text{}, topology.WithExtractor(
		func(r topology.Record[string, string], from topology.Coordinates, partitionTime int64) (int64, error) {
			switch r.Value {
			case "fail":
				return 0, errExtract
			case "partition":
				return partitionTime, nil
			}
			return from.Offset * 100, nil
		})), func(r topology.Record[string, string]) { emitted = r.Timestamp })
	for _, c := range []struct {
		value string
		want  int64
		err   error
	}{{"offset", 300, nil}, {"partition", 77, nil}, {"fail", 0, errExtract}} {
		at, err := h.Decode(topology.Coordinates{Offset: 3}, &topology.Raw{Value: []byte(c.value), Timestamp: -1}, 77)
		if at != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d, %v", c.value, at, err)
		}
		if err == nil {
			if h.Emit(); emitted != c.want {
				t.Errorf("%s: emitted with time %d", c.value, emitted)
			}
		}
	}
}

// Hashes and partitions of Apache Kafka 4.4's default partitioner.
func TestPartitionOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key       string
		hash      int32
		of3, of12 int32
	}{
		{"", 275646681, 0, 9}, {"61", -1563381124, 1, 4}, {"6162", 316155434, 2, 2}, {"616263", 479470107, 0, 3},
		{"61626364", -1323649548, 2, 8}, {"6162636465", 461995741, 1, 1}, {"6bc3a47365", -1070276755, 1, 1},
		{"54686520717569636b2062726f776e20666f78206a756d7073206f76657220746865206c617a7920646f67", 495243318, 0, 6},
		{"00", 375494588, 2, 8}, {"ffffffffffffffff", 185950397, 2, 5}, {"8000000000000000", 1290709624, 1, 4},
	} {
		key, err := hex.DecodeString(c.key)
		if err != nil {
			t.Fatal(err)
		}
		if got := int32(topology.Murmur2(key)); got != c.hash {
			t.Errorf("Murmur2(%s) = %d, want %d", c.key, got, c.hash)
		}
		if topology.PartitionOf(key, 3) != c.of3 || topology.PartitionOf(key, 12) != c.of12 || topology.PartitionOf(key, 1) != 0 || topology.PartitionOf(key, 0) != 0 {
			t.Errorf("PartitionOf(%s) = %d of 3, %d of 12", c.key, topology.PartitionOf(key, 3), topology.PartitionOf(key, 12))
		}
	}
}

// TestFan: children are called in the order in which they were attached (P-06).
func TestFan(t *testing.T) {
	t.Parallel()
	for n := range 5 {
		var got []string
		var children []any
		for i := range n {
			children = append(children, topology.Emit[string, string](func(r topology.Record[string, string]) {
				got = append(got, fmt.Sprint(i, r.Key))
			}))
		}
		topology.Fan[string, string](children).(topology.Emit[string, string])(topology.NewRecord("k", "v", 1))
		if want := []string{"0k", "1k", "2k", "3k", "4k"}[:n]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d children: %v", n, got)
		}
	}
}
