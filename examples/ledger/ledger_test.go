package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// TestMain makes the test binary the ledger's children as well.
func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := mainStatus(ctx, nil, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// flagsEnv adds flags to those of the test run: MILLRACE_LEDGER="-duration 3m -kills 50" go test ./examples/ledger -run Ledger
const flagsEnv = "MILLRACE_LEDGER"

// TestLedger is a run of the whole program on a broker of its own, short unless MILLRACE_LEDGER says otherwise.
func TestLedger(t *testing.T) {
	t.Parallel()
	testRun(t, "-duration", "12s", "-kills", "5", "-broker-kills", "3", "-pauses", "1")
}

// TestLedgerOnKafka is the same on a real Kafka, which is not killed. Its group.min.session.timeout.ms is 6 s by default.
func TestLedgerOnKafka(t *testing.T) {
	brokers := os.Getenv("MILLRACE_KAFKA")
	if brokers == "" {
		t.Skip("MILLRACE_KAFKA names no Kafka")
	}
	t.Parallel()
	testRun(t, "-brokers", brokers, "-duration", "15s", "-kills", "5", "-pauses", "0", "-session", "6s")
}

func testRun(t *testing.T, flags ...string) {
	t.Helper()
	if err := signalContinue(os.Getpid()); err != nil {
		t.Skip(err) // no signals here
	}
	if testing.Short() {
		t.Skip("starts and kills processes for a quarter of a minute")
	}
	flags = append(flags, strings.Fields(os.Getenv(flagsEnv))...)
	var stdout, stderr bytes.Buffer
	status := mainStatus(t.Context(), flags, &stdout, &stderr)
	t.Logf("ledger %s\n%s%s", strings.Join(flags, " "), stderr.Bytes(), stdout.Bytes())
	if status != 0 {
		t.Fatalf("exit status %d", status)
	}
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Records.Acked < 200 || r.Kills.Total < 5 {
		t.Errorf("%d records, %d kills: it has shown little", r.Records.Acked, r.Kills.Total)
	}
}
