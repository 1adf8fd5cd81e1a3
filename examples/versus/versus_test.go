package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestMain lets the test binary be the child that runs a job.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childCommand {
		if err := runChild(context.Background(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestVersus runs every case on the embedded broker with few records, and on Kafka if there is one. The figures mean nothing, but every output
// must be right. Kafka Streams' side takes a JVM for each run: CI runs it apart.
func TestVersus(t *testing.T) {
	t.Parallel()
	if _, err := cpuTime(os.Getpid()); err != nil {
		t.Skip("processes are looked at as Linux shows them: ", err)
	}
	args := []string{"-scale", "0.5", "-seconds", "1", "-dir", t.TempDir(), "-sides"}
	names := []string{"Millrace, embedded broker"}
	if brokers := os.Getenv("MILLRACE_KAFKA"); brokers != "" {
		args = append(args, "embedded,kafka", "-brokers", brokers)
		names = append(names, "Millrace on Kafka")
	} else {
		args = append(args, "embedded")
	}
	var out, log bytes.Buffer
	if err := run(t.Context(), args, &out, &log); err != nil {
		t.Fatalf("%v\n%s%s", err, log.String(), out.String())
	}
	t.Log("\n" + out.String())
	wanted := make(map[string]int)
	for _, name := range names {
		wanted[name] = len(cases()) + len(startCases()) + 1
	}
	for _, s := range brokerSides() {
		if s.kafka && len(names) == 1 {
			continue
		}
		wanted["  "+s.name+"  "] = 1
		for _, c := range brokerCases() {
			wanted["  "+s.name+"  "] += len(phaseNames)
			if !c.both {
				wanted["  "+s.name+"  "]--
			}
		}
	}
	for name, want := range wanted {
		if n := strings.Count(out.String(), name); n != want {
			t.Errorf("%d rows for %q, want %d:\n%s", n, name, want, out.String())
		}
	}
}

// TestWrongFlags: what cannot be measured is refused before anything is started.
func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"count"}, {"-scale", "0"}, {"-count", "0"}, {"-threads", "0"}, {"-commit", "1us"}, {"-seconds", "0"}, {"-guarantee", "most"},
		{"-case", "nothing"}, {"-sides", "embedded,flink"},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out, &out); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

// TestVersusSeesWhatIsWrong: an output that lacks a record, or has one twice, is not taken for right.
func TestVersusSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range cases() {
		want := c.want(sized{c, 30_000})
		if err := want.check(); err == nil {
			t.Errorf("%s: no output at all is right", c.id)
		}
	}
	e := wantIncremented(sized{cases()[0], 10}).(*exact)
	e.got = e.want
	if err := e.check(); err != nil {
		t.Errorf("the output as it must be: %v", err)
	}
	e.got.add([]byte("key"), nil, 1)
	if err := e.check(); err == nil {
		t.Error("a record too many is right")
	}
}
