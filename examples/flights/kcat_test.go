package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/serde"
)

// TestAnIndependentClientReadsTheSameRows reads the result topics over TCP with kcat, a client that shares nothing with this
// project (librdkafka, C), read committed, from a broker that listens, and compares with what -json printed.
func TestAnIndependentClientReadsTheSameRows(t *testing.T) {
	t.Parallel()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat is not installed: no independent client to compare with")
	}
	b, err := broker.Open(t.Context(), broker.Config{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	n := namesWith("")
	rows, _, err := runJob(t, n, "-json", "-brokers", b.Addr().String(), "-dir", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}

	var res results
	for k, v := range kcatTable(t, kcat, b.Addr().String(), n.delays) {
		key, err := cityHourKeys.Decode([]byte(k))
		if err != nil {
			t.Fatal(err)
		}
		stats, err := serde.JSON[HourStats]().Decode([]byte(v))
		if err != nil {
			t.Fatal(err)
		}
		res.hours = append(res.hours, hour{City: key.Key, Window: time.UnixMilli(key.Start).UTC(), HourStats: stats})
	}
	for k, v := range kcatTable(t, kcat, b.Addr().String(), n.routes) {
		stats, err := serde.JSON[RouteStats]().Decode([]byte(v))
		if err != nil {
			t.Fatal(err)
		}
		res.routes = append(res.routes, route{Name: k, RouteStats: stats})
	}
	res.sort()
	var got strings.Builder
	if err := res.writeJSON(&got); err != nil {
		t.Fatal(err)
	}
	sameRows(t, got.String(), rows)
}

// kcatTable reads a topic to its end and returns the last value per key. Keys are bytes, so each record is printed with the
// lengths of its key and value in front.
func kcatTable(t *testing.T, kcat, addr, topic string) map[string]string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), kcat, "-C", "-b", addr, "-t", topic, "-o", "beginning", "-e", "-q",
		"-X", "isolation.level=read_committed", "-f", "%K %S %k%s")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kcat: %v\n%s", err, stderr.Bytes())
	}
	table := make(map[string]string)
	for r := bytes.NewReader(out); r.Len() > 0; {
		var keyLen, valueLen int
		if _, err := fmt.Fscanf(r, "%d %d ", &keyLen, &valueLen); err != nil {
			t.Fatalf("kcat printed something else: %v", err)
		}
		record := make([]byte, keyLen+max(valueLen, 0))
		if _, err := io.ReadFull(r, record); err != nil {
			t.Fatalf("kcat printed something else: %v", err)
		}
		if valueLen < 0 {
			delete(table, string(record[:keyLen]))
			continue
		}
		table[string(record[:keyLen])] = string(record[keyLen:])
	}
	return table
}
