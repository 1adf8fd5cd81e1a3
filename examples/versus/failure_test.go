package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// newBench returns what runs a side on a log that is somebody else's, with a program of one's own as our child.
func newBench(t *testing.T, program string) *bench {
	t.Helper()
	b := brokertest.Start(t)
	return &bench{
		options: options{scale: 0.001, count: 1, threads: 1, commit: 100 * time.Millisecond, guarantee: "eos", seconds: 1, timeout: 20 * time.Second},
		chosen:  []side{{id: "kafka"}},
		work:    t.TempDir(),
		self:    program,
		kafka:   &kafka{place: place{brokers: b.Brokers(), dial: b.Dial}},
		log:     io.Discard,
	}
}

// TestFailureLeavesNothing: what was made for a case that fails is removed from the log.
func TestFailureLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, filepath.Join(t.TempDir(), "nothing"))
	for _, id := range []string{"count-10k", "restore", latencyCase} {
		if err := b.all(t.Context(), []string{id}, io.Discard); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s, whose child cannot be started: %v", id, err)
		}
	}
	cl, err := b.kafka.place.client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	topics, err := kadm.NewClient(cl).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, "versus-") {
			t.Errorf("topic %s is left", name)
		}
	}
}

// TestChildThatDies: results that cannot come any more are not waited for.
func TestChildThatDies(t *testing.T) {
	t.Parallel()
	if _, err := cpuTime(os.Getpid()); err != nil {
		t.Skip("processes are looked at as Linux shows them: ", err)
	}
	err := newBench(t, "testdata/dies").all(t.Context(), []string{latencyCase}, io.Discard)
	if !errors.Is(err, errChildEnded) || !strings.Contains(err.Error(), "no more") {
		t.Error(err)
	}
}

// TestDirIsLeftEmpty: the next run with the same -dir finds it as this one did.
func TestDirIsLeftEmpty(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made")
	b, err := open(t.Context(), options{dir: dir}, sides()[:1], io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.work, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}
