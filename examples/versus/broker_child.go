package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	goruntime "runtime"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/millrace-io/millrace/broker"
)

// brokerJob is the job of a child that is a broker and nothing else. It prints "listen ADDRESS", and for each line of its input what it has
// done by then: "mallocs N requests N entries N syncs N". It ends with its input.
const brokerJob = "broker"

func brokerConfig(dir string) broker.Config {
	return broker.Config{Dir: filepath.Join(dir, "log"), Logger: slog.New(slog.DiscardHandler)}
}

func runBroker(ctx context.Context, given map[string]string, stdin io.Reader, stdout io.Writer) (err error) {
	c := brokerConfig(given["dir"])
	c.Listen = "127.0.0.1:0"
	if given["durability"] == "async" {
		c.Durability = broker.Async
	}
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer func() { err = errors.Join(err, provider.Shutdown(context.WithoutCancel(ctx))) }()
	c.Metrics = provider
	b, err := broker.Open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close(context.WithoutCancel(ctx))) }()
	if _, err := fmt.Fprintf(stdout, "listen %s\n", b.Addr()); err != nil {
		return err
	}
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		d, err := done(ctx, reader)
		if err == nil {
			_, err = fmt.Fprintf(stdout, deedsFormat+"\n", d.mallocs, d.requests, d.entries, d.syncs)
		}
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

// deeds are what a broker has done so far.
type deeds struct{ mallocs, requests, entries, syncs int64 }

const deedsFormat = "mallocs %d requests %d entries %d syncs %d"

func done(ctx context.Context, reader metric.Reader) (d deeds, err error) {
	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		return d, err
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch m.Name {
			case "kafka.request.count":
				d.requests = sum(m)
			case "millrace.broker.journal.entries":
				d.entries = sum(m)
			case "millrace.broker.journal.syncs":
				d.syncs = sum(m)
			}
		}
	}
	var mem goruntime.MemStats
	goruntime.ReadMemStats(&mem)
	d.mallocs = int64(mem.Mallocs)
	return d, nil
}

// sum adds a counter up over its attributes.
func sum(m metricdata.Metrics) (n int64) {
	if s, ok := m.Data.(metricdata.Sum[int64]); ok {
		for _, p := range s.DataPoints {
			n += p.Value
		}
	}
	return n
}
