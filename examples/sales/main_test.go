package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/stream"
)

// TestSales runs the program, and compares what it prints with what its README says.
func TestSales(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, t.TempDir(), &out); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```\n"+out.String()+"```\n") {
		t.Errorf("README.md shows something else than\n%s", &out)
	}
}

// TestBothStyles: the file is the same for both toolchains, and so is the topology.
func TestBothStyles(t *testing.T) {
	t.Parallel()
	b := stream.NewBuilder()
	describe(b)
	top, err := b.Topology()
	if err != nil {
		t.Fatal(err)
	}
	topologytest.Golden(t, "testdata/topology.txt", top.Describe())
}
