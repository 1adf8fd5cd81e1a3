package runtime_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// logged is a record with its offset, and where the inputs stood if it says so.
type logged struct {
	record
	offset int64
	inputs []task.InputPosition
}

// readPartition returns all committed records of one partition.
func (l *testLog) readPartition(t *testing.T, tp client.TopicPartition) (records []logged) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := l.client.ListOffsets(ctx, client.HighWatermark, []client.TopicPartition{tp})
	if err != nil {
		t.Fatal(err)
	}
	f, err := client.NewFetcher(l.client, client.FetcherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Add(tp, 0)
	for at := int64(0); at < ends[tp]; {
		select {
		case <-ctx.Done():
			t.Fatalf("read %v: %v", tp, ctx.Err())
		case <-f.Ready():
		}
		for _, got := range f.Take(nil) {
			if got.Err != nil {
				t.Fatal(got.Err)
			}
			if got.Batch != nil {
				records = append(records, readBatch(t, tp, got.Batch)...)
				at = got.Batch.End()
				got.Batch.Release()
			}
		}
	}
	return records
}

func readBatch(t *testing.T, tp client.TopicPartition, b task.Batch) (records []logged) {
	t.Helper()
	var r topology.Raw
	for {
		ok, err := b.Next(&r)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return records
		}
		l := logged{record: record{tp.Partition, string(r.Key), string(r.Value), r.Timestamp}, offset: r.Offset}
		for _, h := range r.Headers {
			if h.Key == task.PositionHeader {
				if l.inputs, err = task.ParsePosition(h.Value); err != nil {
					t.Fatal(err)
				}
			}
		}
		records = append(records, l)
	}
}

// Wherever a changelog says where the inputs stood, it holds, up to there, just what those inputs give: over restarts, on both sides of
// a repartition topic. So stores can be brought back to that point.
func TestChangelogsSayWhereInputsStood(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	cfg := runtime.Config{ApplicationID: n.App, StateDir: t.TempDir(), Workers: 2, CommitInterval: time.Millisecond}
	for run := range 3 {
		app := l.start(t, top, runtime.PurgeEvery(cfg, time.Hour))
		for i := range 5 {
			l.write(t, n.In, jobInput(uint64(10*run+i), 200, 2, int64(i)*4000))
		}
		eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
		if err := app.stop(); err != nil {
			t.Fatal(err)
		}
	}
	for partition := range int32(2) {
		words := n.checkHistory(t, l, "counts", n.inputs()[1], partition, func(r logged) string { return r.key })
		windows := n.checkHistory(t, l, "windows", n.In, partition, func(r logged) string { return windowKey(r.record) })
		if words < 3 || windows < 3 {
			t.Errorf("partition %d: %d and %d points of history", partition, words, windows)
		}
	}
}

// checkHistory compares a changelog of counts with its input at all points that it names, and returns how many there are.
func (n jobNames) checkHistory(t *testing.T, l *testLog, store, in string, partition int32, key func(logged) string) (points int) {
	t.Helper()
	input := l.readPartition(t, client.TopicPartition{Topic: in, Partition: partition})
	state, counted := make(map[string]int64), make(map[string]int64)
	next, at, highest := 0, int64(-1), int64(-1)
	for _, r := range l.readPartition(t, client.TopicPartition{Topic: n.App + "-" + store + "-changelog", Partition: partition}) {
		if r.inputs != nil {
			points++
			if len(r.inputs) != 1 || r.inputs[0].Topic != task.TopicHash(in) || r.inputs[0].Next < at {
				t.Fatalf("%s-%d offset %d: inputs %v after %d", store, partition, r.offset, r.inputs, at)
			}
			at = r.inputs[0].Next
			for ; next < len(input) && input[next].offset < at; next++ {
				counted[key(input[next])]++
				highest = max(highest, input[next].timestamp)
			}
			if !maps.Equal(state, counted) {
				t.Fatalf("%s-%d offset %d: the state is not that of the input up to %d", store, partition, r.offset, at)
			}
			if r.inputs[0].PartitionTime != highest {
				t.Errorf("%s-%d offset %d: event time %d, want %d", store, partition, r.offset, r.inputs[0].PartitionTime, highest)
			}
		}
		k := r.key
		if store == "windows" {
			k = r.key[:len(r.key)-4] // without the sequence, as the sink has it
		}
		state[k] = int64Of(r.value)
	}
	if points > 0 && !slices.ContainsFunc(input, func(r logged) bool { return r.offset >= at }) {
		t.Errorf("%s-%d: the last point is behind all input", store, partition)
	}
	return points
}
