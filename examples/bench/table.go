package main

import (
	"fmt"
	"io"
)

// table prints the figures.
type table struct {
	w     io.Writer
	kafka bool // measured on a cluster: the application alone
	begun bool
}

func newTable(w io.Writer, kafka bool) *table { return &table{w: w, kafka: kafka} }

func (t *table) row(j jobKind, c cost, reference float64) error {
	if !t.begun {
		t.begun = true
		_, err := fmt.Fprintf(t.w, "%-20s %10s %10s %10s %10s %10s %10s %12s\n", "per record",
			"CPU ns", "budget ns", "loop ns", "allocs", "alloc B", "copied B", "records/s")
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(t.w, "%-20s %10.0f %10.0f %10.0f %10.2f %10.0f %10.0f %12.0f\n",
		j.name, c.cpu, j.budget, reference, c.allocs, c.bytes, c.copied, c.rate)
	return err
}

func (t *table) legend() error {
	what := "application and embedded broker together, the start of the application included"
	if t.kafka {
		what = "the application alone, its start included; the budgets are for application and embedded broker together"
	}
	_, err := fmt.Fprintf(t.w, `
CPU ns    %s
budget ns what a record should cost in the end; nothing checks it yet
loop ns   the same work in a loop in plain Go, on records in memory
copied B  bytes over the application's connections, both ways, and growth of the data directory
`, what)
	return err
}
