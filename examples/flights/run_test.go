package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/examples/internal/cluster"
)

// runJob runs the example in this process.
func runJob(t *testing.T, n names, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, log bytes.Buffer
	err = program{n, plainEvery}.run(t.Context(), args, &out, &log)
	return out.String(), log.String(), err
}

// onEachShape runs a test with the flags of each shape that the log can have.
func onEachShape(t *testing.T, test func(t *testing.T, n names, args []string)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, namesWith(""), []string{"-dir", t.TempDir()})
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		l := kafkaLog(t)
		test(t, l.names, []string{"-dir", t.TempDir(), "-brokers", os.Getenv(kafkaEnv)})
	})
}

func TestRunTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	onEachShape(t, func(t *testing.T, n names, args []string) {
		want := referenceOfEmbedded(t)
		rows, _, err := runJob(t, n, append(args, "-json")...)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, rows, want)
		report, log, err := runJob(t, n, args...)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{
			"The worst hours by city", "The worst routes", "20,000 flights (the example's own flights)", "all of them before",
			"17,300 hours and 2,977 routes", "dropped  nothing",
		} {
			if !strings.Contains(report, part) {
				t.Errorf("the report does not say %q:\n%s", part, report)
			}
		}
		if log != "" {
			t.Errorf("log lines of a clean run:\n%s", log)
		}
		rows, _, err = runJob(t, n, append(args, "-json")...)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, rows, want)
		if _, _, err := runJob(t, n, append(args, "-data", writeArray(t, []string{"1"}))...); err == nil || !strings.Contains(err.Error(), "other flights") {
			t.Errorf("other data on the same log: %v", err)
		}
		if _, _, err := runJob(t, n, append(args, "-partitions", "7")...); err == nil || !strings.Contains(err.Error(), "has 4 partitions, not 7") {
			t.Errorf("other partitions on the same log: %v", err)
		}
	})
}

// TestRunDropsAndNamesBadFlights loads good and bad elements, adds a record that is not JSON behind the loader's back, and looks
// at the rows, the summary and the log lines.
func TestRunDropsAndNamesBadFlights(t *testing.T) {
	t.Parallel()
	onEachShape(t, func(t *testing.T, n names, args []string) {
		good := []string{
			`{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS"}`,
			`{"date":"2199/12/31 23:59","delay":14,"distance":1750,"origin":"DTW","destination":"LAS"}`,
			`{"date":"1970/01/01 00:00","delay":-3,"distance":407,"origin":"LAS","destination":"OAK"}`,
		}
		elements := good
		bad := 0
		for _, list := range badElements {
			elements = append(elements, list...)
			bad += len(list)
		}
		args = append(args, "-data", writeArray(t, elements))
		report, log, err := runJob(t, n, args...)
		if err != nil {
			t.Fatal(err)
		}
		for reason, list := range badElements {
			if want := fmt.Sprintf("%d %s", len(list), reason); !strings.Contains(report, want) {
				t.Errorf("the report does not say %q:\n%s", want, report)
			}
			if got := strings.Count(log, fmt.Sprintf("%q", reason)); got < len(list) {
				t.Errorf("%d log lines with the reason %q, want %d:\n%s", got, reason, len(list), log)
			}
		}
		named := regexp.MustCompile(`topic=` + n.flights + ` partition=\d offset=\d+`)
		if got := len(named.FindAllString(log, -1)); got != bad {
			t.Errorf("%d log lines name a record, want %d:\n%s", got, bad, log)
		}
		rows, _, err := runJob(t, n, append(args, "-json")...)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, rows, reference(t, strings.NewReader("["+strings.Join(elements, ",")+"]")))
	})
}

// TestRunTakesAForeignRecord writes a record that is not JSON, and a tombstone, into the topic flights, as somebody else might.
func TestRunTakesAForeignRecord(t *testing.T) {
	t.Parallel()
	l := kafkaLog(t)
	args := []string{"-dir", t.TempDir(), "-brokers", os.Getenv(kafkaEnv)}
	createAll(t, l, 4)
	cl, err := kgo.NewClient(l.connect...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	foreign := []*kgo.Record{
		{Topic: l.names.flights, Key: []byte("DTW"), Value: []byte("not JSON")},
		{Topic: l.names.flights, Key: []byte("DTW")},
	}
	if err := cl.ProduceSync(t.Context(), foreign...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	report, log, err := runJob(t, l.names, args...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(report, "1 not JSON") || !strings.Contains(report, "1 null value") || !strings.Contains(log, "topic="+l.names.flights) {
		t.Errorf("report:\n%s\nlog:\n%s", report, log)
	}
}

// TestRunRefusesInOneLine looks at what a person reads who asks for something impossible.
func TestRunRefusesInOneLine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(`{"date":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"-data", file}, []string{file, "is not a JSON array", "offset 1", "-data"}},
		{[]string{"-data", file + ".none"}, []string{"no such file", "JSON array of flights"}},
		{[]string{"-dir", file}, []string{"is not a directory"}},
		{[]string{"-brokers", nobody}, []string{"no Kafka broker answers at " + nobody, "-brokers"}},
		{[]string{"-brokers", "localhost"}, []string{"not host:port"}},
		{[]string{"-partitions", "0"}, []string{"-partitions 0"}},
		{[]string{"-rate", "-1"}, []string{"-rate -1"}},
		{[]string{"hello"}, []string{"is not a flag"}},
	} {
		var stdout, stderr bytes.Buffer
		status := mainStatus(program{namesWith(""), plainEvery}.run(t.Context(), c.args, &stdout, &stderr), &stderr)
		if status != 1 {
			t.Errorf("%v: status %d, want 1", c.args, status)
		}
		line := stderr.String()
		if strings.Count(line, "\n") != 1 || stdout.Len() > 0 {
			t.Errorf("%v: want one line, got %q and %q", c.args, line, stdout.String())
		}
		for _, part := range c.want {
			if !strings.Contains(line, part) {
				t.Errorf("%v: %q does not say %q", c.args, line, part)
			}
		}
	}
}

func TestRunRefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	held := cluster.Flags{Dir: t.TempDir()}
	log, err := held.Open(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = runJob(t, namesWith(""), "-dir", held.Dir)
	if err == nil || !strings.Contains(err.Error(), "-dir "+held.Dir+" is in use by another process") {
		t.Errorf("a directory in use: %v", err)
	}
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestInterruptedRunGoesOn stops a run in order, as SIGTERM does, and finishes it.
func TestInterruptedRunGoesOn(t *testing.T) {
	t.Parallel()
	onEachShape(t, func(t *testing.T, n names, args []string) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		var out, log bytes.Buffer
		err := program{n, plainEvery}.run(ctx, append(args, "-rate", "2000"), &out, &log)
		if err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Fatalf("interrupted run: %v\n%s", err, log.String())
		}
		rows, _, err := runJob(t, n, append(args, "-json")...)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, rows, referenceOfEmbedded(t))
	})
}

func TestJSONRowsAreJSON(t *testing.T) {
	t.Parallel()
	res := results{
		hours:  []hour{{City: "Zürich <&> \"x\", ZH", Window: time.Date(2001, 1, 1, 5, 0, 0, 0, time.UTC), HourStats: HourStats{1, 0, -5, -5}}},
		routes: []route{{Name: "A-B", RouteStats: RouteStats{2, -10, 100}}},
	}
	var out strings.Builder
	if err := res.writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	want := `{"table":"delays-by-city-hour","city":"Zürich <&> \"x\", ZH","window_start":"2001-01-01T05:00:00Z","flights":1,"delayed":0,"total_delay":-5,"max_delay":-5}
{"table":"routes","route":"A-B","flights":2,"total_delay":-10,"distance":100}
`
	sameRows(t, out.String(), want)
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if err := res.writeJSON(failingWriter{}); err == nil {
		t.Error("a failed write is no error")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }
