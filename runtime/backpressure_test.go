package runtime_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// Tasks of two inputs wait for one before they go on with the other, of which the buffer may be full: what they wait for is read
// nevertheless, and all is processed in the order of time.
func TestInputsBeyondTheBuffer(t *testing.T) {
	t.Parallel()
	const partitions, each = 6, 200 // twelve partitions of 1.6 MB: more than one answer holds
	l := openLog(t, false)
	app, early, late, out := unique(t, "app"), unique(t, "early"), unique(t, "late"), unique(t, "out")
	l.createTopics(t, partitions, early, late, out)
	value := strings.Repeat("x", 8<<10)
	for p := range int32(partitions) {
		for topic, ahead := range map[string]int64{early: 0, late: each} {
			var records []record
			for i := range int64(each) {
				records = append(records, record{partition: p, key: fmt.Sprint(p), value: value, timestamp: eventBase + ahead + i})
			}
			for len(records) > 0 { // batches that are small beside the buffer
				l.write(t, topic, records[:20])
				records = records[20:]
			}
		}
	}
	b := stream.NewBuilder()
	// The one that is read first is the one that has to wait.
	stream.From(b, late, serde.String, serde.String).Merge(stream.From(b, early, serde.String, serde.String)).
		To(out, serde.String, serde.String)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	r := l.start(t, top, runtime.Config{ApplicationID: app, StateDir: t.TempDir(), Workers: 1, InputBytes: 1 << 20})
	eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, app, early, late) })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	got := l.read(t, out)
	if len(got) != 2*partitions*each {
		t.Errorf("%d records, want %d", len(got), 2*partitions*each)
	}
	last := make(map[string]int64) // by the partition that it comes from
	for _, r := range got {
		if r.timestamp < last[r.key] {
			t.Fatalf("partition %s: a record of %d comes after one of %d", r.key, r.timestamp, last[r.key])
		}
		last[r.key] = r.timestamp
	}
}
