package runtime_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/topology"
)

// strict is a serde of strings that refuses what begins with "undecodable" and "unencodable".
var strict = serde.New(func(dst []byte, v string) ([]byte, error) {
	if strings.HasPrefix(v, "unencodable") {
		return dst, errors.New("unencodable")
	}
	return append(dst, v...), nil
}, func(src []byte) (string, error) {
	if strings.HasPrefix(string(src), "undecodable") {
		return "", errors.New("undecodable")
	}
	return string(src), nil
})

// poisoned is a topology that copies its input, and panics at values that begin with "panic", by a map and by an aggregator.
func poisoned(t testing.TB, in, out string) *topology.Topology {
	t.Helper()
	b := stream.NewBuilder()
	values := stream.MapValues(stream.From(b, in, serde.String, strict), func(v string) string {
		if strings.HasPrefix(v, "panic") {
			panic(errors.New(v))
		}
		return v
	}, stream.Named("fragile"))
	values.To(out, serde.String, strict)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// kinds of poison, by the beginning of the values.
var poisons = []string{"undecodable", "panic", "unencodable", "huge"}

// poisonedInput makes n records per partition of which every seventh is poison, of all kinds in turn.
func poisonedInput(n int, partitions int32) (records, good, bad []record) {
	for i := range n {
		for p := range partitions {
			r := record{partition: p, key: fmt.Sprintf("k%d", i%5), value: fmt.Sprintf("v%d", i), timestamp: eventBase + int64(i)}
			if i%7 == 3 {
				r.value = fmt.Sprintf("%s-%d", poisons[i/7%len(poisons)], i)
				if strings.HasPrefix(r.value, "huge") {
					r.value += strings.Repeat("!", 2000)
				}
				bad = append(bad, r)
			} else {
				good = append(good, r)
			}
			records = append(records, r)
		}
	}
	return records, good, bad
}

// TestDeadLetterQueue: no kind of trouble stops the application; each bad record is in the dead-letter topic once, as it was read, each
// good one in the output once.
func TestDeadLetterQueue(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []runtime.Guarantee{runtime.ExactlyOnce, runtime.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			l := openLog(t, false)
			app, in, out, dlq := unique(t, "app"), unique(t, "in"), unique(t, "out"), unique(t, "dlq")
			l.createTopics(t, partitions, in, dlq)
			small := client.NewTopic{Name: out, Partitions: partitions, Configs: map[string]string{"max.message.bytes": "1500"}}
			if err := l.client.CreateTopics(t.Context(), small); err != nil {
				t.Fatal(err)
			}
			records, good, bad := poisonedInput(200, partitions)
			l.write(t, in, records)
			r := l.start(t, poisoned(t, in, out), runtime.Config{
				ApplicationID: app, StateDir: t.TempDir(), Workers: 2, Guarantee: guarantee, DeadLetterTopic: dlq,
				Deserialization: runtime.LogAndContinue, Processing: runtime.LogAndContinue, Production: runtime.LogAndContinue,
			})
			eventually(t, 30*time.Second, "history is processed", func() bool { return l.drained(t, app, in) })
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			sameRecords(t, "output", l.read(t, out), good)
			sameRecords(t, "dead letters", l.read(t, dlq), bad)
			counts := make(map[string]int64)
			for _, d := range r.Stats().Dropped {
				counts[d.Node+": "+string(d.Reason)] += d.Count
			}
			if len(counts) != len(poisons) {
				t.Errorf("dropped %v", counts)
			}
		})
	}
}

// sameRecords compares what topics hold, whatever the partitions.
func sameRecords(t testing.TB, what string, got, want []record) {
	t.Helper()
	count := make(map[string]int)
	for _, r := range want {
		count[fmt.Sprintf("%s=%.40s@%d", r.key, r.value, r.timestamp)]++
	}
	for _, r := range got {
		count[fmt.Sprintf("%s=%.40s@%d", r.key, r.value, r.timestamp)]--
	}
	for r, n := range count {
		if n != 0 {
			t.Errorf("%s: %d too few of %s", what, n, r)
		}
	}
}

// TestDeadLetterTopicIsMissing: the topic is looked for before anything starts.
func TestDeadLetterTopicIsMissing(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	in, out := unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	r := l.start(t, poisoned(t, in, out), runtime.Config{ApplicationID: unique(t, "app"), DeadLetterTopic: "not-there"})
	err := r.failure(t, 30*time.Second)
	if err == nil || !strings.Contains(err.Error(), "Config.DeadLetterTopic: topic not-there does not exist; create it before starting") {
		t.Errorf("Run = %v", err)
	}
}
