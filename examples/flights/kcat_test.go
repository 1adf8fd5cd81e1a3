package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/serde"
)

// TestAnIndependentClientReadsTheSameRows runs the stand-alone broker as a process of its own, the example against it, and reads
// the result topics over TCP with kcat, a client that shares nothing with this project (librdkafka, C), read committed: the
// rows must be those that -json printed.
func TestAnIndependentClientReadsTheSameRows(t *testing.T) {
	t.Parallel()
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat is not installed: no independent client to compare with")
	}
	addr := standAloneBroker(t)
	n := namesWith("")
	rows, _, err := runJob(t, n, "-json", "-brokers", addr, "-dir", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}

	var res results
	for k, v := range kcatTable(t, kcat, addr, n.delays) {
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
	for k, v := range kcatTable(t, kcat, addr, n.routes) {
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

// standAloneBroker builds the command millrace, runs its broker on a free port, and returns the address.
func standAloneBroker(t *testing.T) string {
	t.Helper()
	millrace := filepath.Join(t.TempDir(), "millrace")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", millrace, "../../broker/cmd/millrace")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the broker: %v\n%s", err, out)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(millrace, "broker", "-dir", t.TempDir(), "-listen", "127.0.0.1:0")
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
			t.Errorf("stop the broker: %v\n%s", err, stderr.Bytes())
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	addr := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if err != nil || addr == "" {
		t.Fatalf("the broker says no address: %q, %v", line, err)
	}
	return addr
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
