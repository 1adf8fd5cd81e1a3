// Command bench measures what a record costs: CPU time, allocations and bytes copied, for jobs of three kinds, beside a loop in
// plain Go that does the same work on records in memory, and beside the budgets that the project has set itself. Command versus, which
// make bench runs too, compares with Kafka Streams.
//
//	go run ./examples/bench -job count -profile DIR
//
// Records are written to the log first, and are not part of a measurement; then the application is started, and what the
// process uses is counted from there until everything is committed. On the embedded broker that includes the broker.
// With -brokers it is the application alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"

	"github.com/millrace-io/millrace/examples/internal/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	brokers string
	records int
	count   int
	job     string
	profile string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.brokers, "brokers", "", "measure on the log at `host:port,...` instead of the embedded broker")
	fs.IntVar(&o.records, "records", 2_000_000, "`number` of records of each job")
	fs.IntVar(&o.count, "count", 1, "how many `times` to measure each job; the median is printed")
	fs.StringVar(&o.job, "job", "", "measure this job alone, by `id`: pass, count or repartition")
	fs.StringVar(&o.profile, "profile", "", "write CPU and allocation profiles of each job into `directory`")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if o.records < 1 || o.count < 1 || fs.NArg() > 0 {
		return errors.New("-records and -count want at least 1, and there are no arguments")
	}
	chosen := jobs()
	if o.job != "" {
		chosen = slices.DeleteFunc(chosen, func(j jobKind) bool { return j.id != o.job })
	}
	if len(chosen) == 0 {
		return fmt.Errorf("there is no job %q", o.job)
	}
	t := newTable(stdout, o.brokers != "")
	for _, j := range chosen {
		runs := make([]cost, o.count)
		for i := range runs {
			c, err := measureJob(ctx, &o, j, i)
			if err != nil {
				return fmt.Errorf("%s: %w", j.name, err)
			}
			runs[i] = c
		}
		if err := t.row(j, median(runs), referenceCost(j, o.records)); err != nil {
			return err
		}
	}
	return t.legend()
}

// measureJob runs one job on a log of its own, or on names of its own.
func measureJob(ctx context.Context, o *options, j jobKind, run int) (c cost, err error) {
	f := cluster.Flags{Brokers: o.brokers}
	log, err := f.Open(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return cost{}, err
	}
	defer func() { err = errors.Join(err, log.Close(context.WithoutCancel(ctx))) }()
	m := &measurement{log: log, job: j, records: o.records, prefix: fmt.Sprintf("bench-%d-%s-%d-", os.Getpid(), j.id, run)}
	defer func() { err = errors.Join(err, m.remove(context.WithoutCancel(ctx))) }()
	if err := m.prepare(ctx); err != nil {
		return cost{}, err
	}
	p, err := startProfile(o.profile, j.id)
	if err != nil {
		return cost{}, err
	}
	c, err = m.run(ctx)
	return c, errors.Join(err, p.stop())
}
