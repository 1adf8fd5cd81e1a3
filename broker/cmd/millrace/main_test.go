package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/broker"
)

// TestBrokerRuns starts the command, asks it something over TCP, and stops it.
func TestBrokerRuns(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"broker", "-dir", dir, "-listen", "127.0.0.1:0", "-partitions", "3"}, in, io.Discard)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("first line %q", line)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the other end may have closed first
	// ApiVersions version 0, correlation id 7, no client id.
	if _, err := c.Write([]byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 8)
	if _, err := io.ReadFull(c, answer); err != nil || answer[7] != 7 {
		t.Errorf("answer % x, %v", answer, err)
	}

	if err := run(t.Context(), []string{"broker", "-dir", dir, "-listen", "127.0.0.1:0"}, io.Discard, io.Discard); err == nil ||
		!strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a second one on the directory: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"", "usage"},
		{"serve", "usage"},
		{"broker", "-dir"},
		{"broker -dir d -listen nonsense", "nonsense"},
		{"broker -dir d -bogus", "bogus"},
		{"broker -dir d -durability maybe", "maybe"},
		{"broker -dir d -partitions 0", "-partitions"},
		{"broker -dir d extra", "extra"},
		{"broker -dir d -max-request-bytes 1", "MaxRequestBytes"},
	} {
		err := run(t.Context(), strings.Fields(c.args), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", c.args, err)
		}
	}
	var help strings.Builder
	if err := run(t.Context(), []string{"broker", "-h"}, io.Discard, &help); err != nil || !strings.Contains(help.String(), "-advertise") {
		t.Errorf("help: %v\n%s", err, help.String())
	}
}

func TestFlagsAreTheConfiguration(t *testing.T) {
	cfg, err := brokerConfig(strings.Fields("-dir d -listen :1 -advertise h:2 -durability async -auto-create -partitions 3 "+
		"-max-connections 4 -max-request-bytes 70000 -max-in-flight-bytes 80000"), io.Discard)
	want := broker.Config{
		Dir: "d", Listen: ":1", Advertise: "h:2", Durability: broker.Async, AutoCreateTopics: true, DefaultPartitions: 3,
		MaxConnections: 4, MaxRequestBytes: 70000, MaxInFlightBytes: 80000,
	}
	if err != nil || !reflect.DeepEqual(cfg, want) {
		t.Errorf("%+v, %v", cfg, err)
	}
}
