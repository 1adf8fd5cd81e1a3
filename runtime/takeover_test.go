package runtime_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

const (
	takeoverWindow = 10 * time.Second
	takeoverGap    = time.Second
)

// takeover is an application that Millrace and Kafka Streams run in turns: counts of keys, in windows and in sessions too, under the
// same names.
type takeover struct{ app, in string }

func (j takeover) topology() (*topology.Topology, error) {
	b := stream.NewBuilder()
	grouped := stream.GroupByKey(stream.From(b, j.in, serde.String, serde.String))
	grouped.Count(stream.Materialized("counts", serde.Int64))
	grouped.WindowedBy(window.Tumbling(takeoverWindow).Grace(time.Hour)).Count(stream.Materialized("windows", serde.Int64))
	grouped.WindowedBySessions(window.Sessions(takeoverGap).Grace(time.Hour)).Count(stream.Materialized("sessions", serde.Int64))
	return b.Topology()
}

// want recomputes what the stores hold, as lines.
func (j takeover) want(input []record) (lines []string) {
	counts, windows, times := make(map[string]int), make(map[string]int), make(map[string][]int64)
	for _, r := range input {
		counts[r.key]++
		windows[fmt.Sprintf("%s %d", r.key, r.timestamp-r.timestamp%takeoverWindow.Milliseconds())]++
		times[r.key] = append(times[r.key], r.timestamp)
	}
	for key, n := range counts {
		lines = append(lines, fmt.Sprintf("counts %s = %d", key, n))
	}
	for at, n := range windows {
		lines = append(lines, fmt.Sprintf("windows %s = %d", at, n))
	}
	for key, at := range times {
		slices.Sort(at)
		for first := 0; first < len(at); {
			last := first
			for last+1 < len(at) && at[last+1]-at[last] <= takeoverGap.Milliseconds() {
				last++
			}
			lines = append(lines, fmt.Sprintf("sessions %s %d-%d = %d", key, at[first], at[last], last-first+1))
			first = last + 1
		}
	}
	slices.Sort(lines)
	return lines
}

// logged reads the same from the changelogs.
func (j takeover) logged(t *testing.T, l *testLog) (lines []string) {
	t.Helper()
	decode := func(b string) int64 { return int64(binary.BigEndian.Uint64([]byte(b))) }
	for store, text := range map[string]func(key string) string{
		"counts":  func(key string) string { return key },
		"windows": func(k string) string { n := len(k) - 12; return fmt.Sprintf("%s %d", k[:n], decode(k[n:])) },
		"sessions": func(k string) string {
			n := len(k) - 16
			return fmt.Sprintf("%s %d-%d", k[:n], decode(k[n+8:]), decode(k[n:]))
		},
	} {
		last := make(map[string]string)
		for _, r := range l.read(t, j.app+"-"+store+"-changelog") {
			last[r.key] = r.value
		}
		for key, value := range last {
			if value != "" { // else deleted
				lines = append(lines, fmt.Sprintf("%s %s = %d", store, text(key), decode(value)))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// run lets Millrace process what there is, from an empty state directory, and stop.
func (j takeover) run(t *testing.T, l *testLog) {
	t.Helper()
	top, err := j.topology()
	if err != nil {
		t.Fatal(err)
	}
	app := l.start(t, top, runtime.Config{ApplicationID: j.app, StateDir: t.TempDir(), Workers: 2})
	eventually(t, time.Minute, "all is processed", func() bool { return l.drained(t, j.app, j.in) })
	if err := app.stop(); err != nil {
		t.Fatal(err)
	}
}

// runJava lets Kafka Streams do the same, and returns what its stores hold, and how many records it has restored.
func (j takeover) runJava(t *testing.T, l *testLog, classpath string, records int) (lines []string, restored int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "java", "-Xmx256m", "-cp", classpath, "testdata/Takeover.java",
		strings.Join(l.brokers, ","), j.app, j.in, t.TempDir(), strconv.Itoa(records))
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("Kafka Streams: %v\n%s", err, stderr.Bytes()[max(0, stderr.Len()-4000):])
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if n, ok := strings.CutPrefix(line, "restored "); ok {
			if restored, err = strconv.Atoi(n); err != nil {
				t.Fatal(err)
			}
			continue
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines, restored
}

// Kafka Streams restores its stores from the changelogs that Millrace has written, goes on from its positions, and counts right; and
// the other way around (S3 of state).
func TestKafkaStreamsTakesOver(t *testing.T) {
	t.Parallel()
	classpath := os.Getenv("MILLRACE_KAFKA_CLASSPATH")
	if classpath == "" || os.Getenv("MILLRACE_KAFKA") == "" {
		t.Skip("MILLRACE_KAFKA and MILLRACE_KAFKA_CLASSPATH, what `.ci/kafka/kafka classpath` prints, are not both set")
	}
	const partitions, records = 3, 600
	l := openLog(t, true)
	j := takeover{unique(t, "app"), unique(t, "in")}
	l.createTopics(t, partitions, j.in)
	write := func(seed uint64) { l.write(t, j.in, jobInput(seed, records, partitions, 0)) }

	write(1)
	j.run(t, l)
	compareLines(t, "Millrace's changelogs", j.logged(t, l), j.want(l.read(t, j.in)))

	write(2)
	got, restored := j.runJava(t, l, classpath, 2*records)
	compareLines(t, "Kafka Streams' stores", got, j.want(l.read(t, j.in)))
	if restored == 0 {
		t.Error("Kafka Streams has restored nothing")
	}
	t.Logf("Kafka Streams restored %d records", restored)

	write(3)
	j.run(t, l)
	compareLines(t, "changelogs that both wrote", j.logged(t, l), j.want(l.read(t, j.in)))
}

func compareLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	for _, line := range want {
		if _, ok := slices.BinarySearch(got, line); !ok {
			t.Errorf("%s: missing: %s", what, line)
		}
	}
	for _, line := range got {
		if _, ok := slices.BinarySearch(want, line); !ok {
			t.Errorf("%s: not expected: %s", what, line)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}
