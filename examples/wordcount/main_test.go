package main

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
)

// TestTheREADMEShowsThisProgram keeps the README's program one that is compiled and tested.
func TestTheREADMEShowsThisProgram(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```go\n"+string(program)+"```\n") {
		t.Error("README.md shows another program than examples/wordcount/main.go")
	}
}

// TestWordsAreCounted runs it twice over the same data: the counts go on.
func TestWordsAreCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	countLines(t, dir, []string{"the quick brown fox", "jumps over The lazy dog"}, map[string]int64{
		"the": 2, "quick": 1, "brown": 1, "fox": 1, "jumps": 1, "over": 1, "lazy": 1, "dog": 1,
	})
	countLines(t, dir, []string{"the fox  again"}, map[string]int64{"the": 3, "fox": 2, "again": 1})
}

// countLines starts the program on the data in dir, produces lines, and waits for counts that were committed.
func countLines(t *testing.T, dir string, lines []string, want map[string]int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	kafka, err := broker.Open(ctx, broker.Config{Dir: dir + "/log", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- count(running, kafka, dir+"/state") }()
	defer func() {
		stop()
		if err := errors.Join(<-ended, kafka.Close(context.Background())); err != nil {
			t.Error(err)
		}
	}()

	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...), kgo.Dialer(kafka.Dial), kgo.UnknownTopicRetries(1000),
		kgo.ConsumeTopics("counts"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, line := range lines {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "lines", Value: []byte(line)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	got := make(map[string]int64)
	for !maps.Equal(got, want) {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("counts %v, want %v: %v", got, want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if word := string(r.Key); want[word] > 0 {
				got[word] = int64(binary.BigEndian.Uint64(r.Value))
			}
		})
	}
}
