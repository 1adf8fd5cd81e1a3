package runtime_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// jobNames are the topics of the test job, and its application id.
type jobNames struct{ App, In, Copy, Counts, Windows string }

func newJob(t testing.TB, l *testLog, partitions int32) jobNames {
	t.Helper()
	n := jobNames{unique(t, "app"), unique(t, "in"), unique(t, "copy"), unique(t, "counts"), unique(t, "windows")}
	l.createTopics(t, partitions, n.In, n.Copy, n.Counts, n.Windows)
	return n
}

// inputs returns the topics that the job reads, in topological order.
func (n jobNames) inputs() []string { return []string{n.In, n.App + "-by-word-repartition"} }

const windowSize = time.Minute

// topology copies its input, counts words through a repartition topic, and counts keys in windows.
func (n jobNames) topology() (*topology.Topology, error) {
	b := stream.NewBuilder()
	in := stream.From(b, n.In, serde.String, serde.String)
	in.To(n.Copy, serde.String, serde.String)
	stream.GroupBy(in, func(_, word string) string { return word }, stream.GroupedWith(serde.String, serde.String).Named("by-word")).
		Count(stream.Materialized("counts", serde.Int64)).
		ToStream().
		To(n.Counts, serde.String, serde.Int64)
	windows := stream.GroupByKey(in, stream.GroupedWith(serde.String, serde.String)).
		WindowedBy(window.Tumbling(windowSize).Grace(24 * time.Hour)).
		Count(stream.Materialized("windows", serde.Int64))
	stream.ToStream(windows).To(n.Windows, window.KeySerde(serde.String, windowSize), serde.Int64)
	return b.Topology()
}

// eventBase is where the tests' event time begins: about now, since a log deletes records, those of changelogs of window
// stores too, by their age.
var eventBase = time.Now().Truncate(windowSize).UnixMilli()

// jobInput makes n records with seed, from event time start after eventBase on: some late, keys in the partition that Kafka's
// partitioner chooses.
func jobInput(seed uint64, n int, partitions int32, start int64) []record {
	r := rand.New(rand.NewPCG(seed, 1))
	records := make([]record, n)
	for i := range records {
		key := fmt.Sprintf("user-%d", r.IntN(50))
		records[i] = record{
			partition: topology.PartitionOf([]byte(key), partitions),
			key:       key,
			value:     fmt.Sprintf("word-%d", r.IntN(200)),
			timestamp: eventBase + start + int64(i)*20 + r.Int64N(90_000),
		}
	}
	return records
}

// check compares the committed results with a recomputation from the input.
func (n jobNames) check(t testing.TB, l *testLog) {
	t.Helper()
	input := l.read(t, n.In)
	n.checkCopy(t, l, input)
	words, windows := make(map[string]int64), make(map[string]int64)
	for _, r := range input {
		words[r.value]++
		windows[windowKey(r)]++
	}
	checkCounts(t, "words", l.read(t, n.Counts), words)
	checkCounts(t, "windows", l.read(t, n.Windows), windows)
	if t.Failed() {
		n.dump(t, l)
	}
}

// dump writes what a failed check needs to be understood: the results and the changelogs, in order.
func (n jobNames) dump(t testing.TB, l *testLog) {
	t.Helper()
	for _, topic := range []string{n.Windows, n.App + "-windows-changelog", n.Counts, n.App + "-counts-changelog"} {
		for _, r := range l.read(t, topic) {
			t.Logf("%s-%d: %q = %d at %d", topic, r.partition, r.key, int64Of(r.value), r.timestamp)
		}
	}
}

func windowKey(r record) string {
	size := windowSize.Milliseconds()
	key, err := window.KeySerde(serde.String, windowSize).Append(nil, window.Windowed[string]{Key: r.key, Start: r.timestamp - r.timestamp%size, End: r.timestamp - r.timestamp%size + size})
	if err != nil {
		panic(err)
	}
	return string(key)
}

// checkCopy wants each partition of the copy to be the input, record by record.
func (n jobNames) checkCopy(t testing.TB, l *testLog, input []record) {
	t.Helper()
	split := func(records []record) map[int32][]record {
		by := make(map[int32][]record)
		for _, r := range records {
			by[r.partition] = append(by[r.partition], r)
		}
		return by
	}
	got := split(l.read(t, n.Copy))
	for partition, want := range split(input) {
		have := got[partition]
		if len(have) != len(want) {
			t.Errorf("copy-%d has %d records, want %d", partition, len(have), len(want))
		}
		for i := range min(len(have), len(want)) {
			if have[i] != want[i] {
				t.Errorf("copy-%d record %d: %+v, want %+v", partition, i, have[i], want[i])
				break
			}
		}
	}
}

// checkCounts wants the counts of each key to rise, without a repetition or a step back, to the right one.
func checkCounts(t testing.TB, what string, results []record, want map[string]int64) {
	t.Helper()
	last := make(map[string]int64)
	for _, r := range results {
		n := int64Of(r.value)
		if n <= last[r.key] {
			t.Errorf("%s: %q counted %d after %d", what, r.key, n, last[r.key])
		}
		last[r.key] = n
	}
	if len(last) != len(want) {
		t.Errorf("%s: %d keys, want %d", what, len(last), len(want))
	}
	for key, n := range want {
		if last[key] != n {
			t.Errorf("%s: %q is %d, want %d", what, key, last[key], n)
		}
	}
}
