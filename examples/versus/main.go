// Command versus runs the same jobs on Millrace and on Kafka Streams, side by side, and prints one table of what each took: records per
// second, processor time of the application and of the broker, peak memory, commits, output records, and the ratios.
//
//	make bench
//	go run ./examples/versus -scale 5 -case count-10k
//
// Every side reads the same input, which is written to each log and read back from it; every output is read back and compared with what it must be.
// README.md says what the cases are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == childCommand {
		err = runChild(context.WithoutCancel(ctx), os.Args[2:], os.Stdin, os.Stdout) // its parent says when to stop
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "versus: %v\n", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	scale     float64
	count     int
	cases     string
	sides     string
	brokers   string
	threads   int
	commit    time.Duration
	guarantee string
	javaFlags string
	dir       string
	seconds   int
	timeout   time.Duration
	profile   string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	fs := flag.NewFlagSet("versus", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Float64Var(&o.scale, "scale", 100, "`percent` of the records of each case")
	fs.IntVar(&o.count, "count", 1, "how many `times` to run each case on each side, in turn; medians are printed")
	fs.StringVar(&o.cases, "case", "", "run these `cases` alone: "+strings.Join(caseIDs(), ","))
	fs.StringVar(&o.sides, "sides", "", "measure these `sides` alone: embedded,kafka,streams")
	fs.StringVar(&o.brokers, "brokers", "", "use the Kafka at `host:port,...` instead of starting one; what its broker takes is then not known")
	fs.IntVar(&o.threads, "threads", 2, "`number` of workers, and of Kafka Streams' threads")
	fs.DurationVar(&o.commit, "commit", 100*time.Millisecond, "commit `interval` of both")
	fs.StringVar(&o.guarantee, "guarantee", "eos", "eos, exactly once, or alo, at least once")
	fs.StringVar(&o.javaFlags, "java-flags", "", "`flags` of Kafka Streams' JVM, as in -Xmx512m")
	fs.StringVar(&o.dir, "dir", "", "`directory` below which logs and state are, as long as they are needed (default: that of temporary files)")
	fs.IntVar(&o.seconds, "seconds", 20, "how many `seconds` to measure a latency, after some of them to warm up")
	fs.DurationVar(&o.timeout, "timeout", 20*time.Minute, "`time` that one run may take")
	fs.StringVar(&o.profile, "profile", "", "write CPU profiles of Millrace's processes into `directory`")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if err := o.validate(fs.NArg()); err != nil {
		return err
	}
	chosen, err := choose(sides(), o.sides, func(s side) string { return s.id })
	if err != nil {
		return err
	}
	ids, err := choose(caseIDs(), o.cases, func(id string) string { return id })
	if err != nil {
		return err
	}
	b, err := open(ctx, o, chosen, stderr)
	if err != nil {
		return err
	}
	return errors.Join(b.all(ctx, ids, stdout), b.close(context.WithoutCancel(ctx)))
}

func (o *options) validate(args int) error {
	switch {
	case args > 0:
		return errors.New("there are flags, but no arguments")
	case o.scale <= 0, o.count < 1, o.threads < 1, o.seconds < 1, o.commit < time.Millisecond:
		return errors.New("-scale, -count, -threads and -seconds want more than 0, -commit at least 1ms")
	case o.guarantee != "eos" && o.guarantee != "alo":
		return fmt.Errorf("-guarantee %s: it is eos or alo", o.guarantee)
	}
	return nil
}

const latencyCase = "latency"

func caseIDs() (ids []string) {
	for _, c := range cases() {
		ids = append(ids, c.id)
	}
	for _, c := range startCases() {
		ids = append(ids, c.id)
	}
	ids = append(ids, latencyCase)
	for _, c := range brokerCases() {
		ids = append(ids, c.id)
	}
	return append(ids, operationsCase)
}

// choose returns the elements that a comma-separated list names, all if it is empty.
func choose[T any](all []T, list string, id func(T) string) (chosen []T, err error) {
	if list == "" {
		return all, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(x T) bool { return id(x) == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
