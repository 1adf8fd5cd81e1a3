package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/millrace-io/millrace/examples/internal/cluster"
)

// options are the flags.
type options struct {
	cluster    cluster.Flags
	data       string
	json       bool
	partitions int
	rate       int

	askedPartitions bool // -partitions was given
}

// maxPartitions bounds -partitions: one machine is not helped by more.
const maxPartitions = 256

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("flights", flag.ContinueOnError)
	fs.SetOutput(stderr)
	o.cluster.Register(fs)
	fs.StringVar(&o.data, "data", "", "load the flights of `file`, a JSON array, instead of the example's own")
	fs.BoolVar(&o.json, "json", false, "write the result rows as JSON lines to standard output, and nothing else")
	fs.IntVar(&o.partitions, "partitions", 4, "`number` of partitions of the topics")
	fs.IntVar(&o.rate, "rate", 0, "load that many `records` a second at most; 0 is no limit")
	fs.Usage = func() {
		fmt.Fprint(stderr, "usage: flights [flags]\n\nLoads real flights into a log, computes which cities and routes are delayed the most, and prints it.\n\n")
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	fs.Visit(func(f *flag.Flag) { o.askedPartitions = o.askedPartitions || f.Name == "partitions" })
	return o, o.validate(fs.Args())
}

func (o *options) validate(rest []string) error {
	var errs []error
	if len(rest) > 0 {
		errs = append(errs, fmt.Errorf("%q is not a flag: see -help", rest[0]))
	}
	if o.partitions < 1 || o.partitions > maxPartitions {
		errs = append(errs, fmt.Errorf("-partitions %d: want 1 to %d", o.partitions, maxPartitions))
	}
	if o.rate < 0 {
		errs = append(errs, fmt.Errorf("-rate %d: want 0 or more", o.rate))
	}
	return errors.Join(errs...)
}
