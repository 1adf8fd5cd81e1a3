package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/broker"
)

// drainTimeout bounds how long requests in flight may take when the broker stops.
const drainTimeout = 10 * time.Second

func runBroker(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg, err := brokerConfig(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	cfg.Logger = slog.New(slog.NewTextHandler(stderr, nil))
	b, err := broker.Open(ctx, cfg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "listening on %s\n", b.Addr())
	if err == nil {
		select {
		case <-ctx.Done():
		case <-b.Failed(): // Close returns the error
		}
	}
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if cerr := b.Close(drain); err == nil && !errors.Is(cerr, context.DeadlineExceeded) {
		err = cerr
	}
	return err
}

// brokerConfig turns flags into a configuration. An error is one line.
func brokerConfig(args []string, stderr io.Writer) (broker.Config, error) {
	var cfg broker.Config
	fs := flag.NewFlagSet("millrace broker", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&cfg.Dir, "dir", "", "data `directory`, created if it is missing (required)")
	fs.StringVar(&cfg.Listen, "listen", "127.0.0.1:9092", "`address` to listen on; port 0 takes a free one")
	fs.StringVar(&cfg.Advertise, "advertise", "", "`address` that clients are told to connect to (default: the one listened on)")
	fs.Func("durability", "sync: acknowledge when it is on disk; async: when the operating system has it (default sync)", func(s string) error {
		switch s {
		case "sync":
			cfg.Durability = broker.Sync
		case "async":
			cfg.Durability = broker.Async
		default:
			return errors.New("want sync or async")
		}
		return nil
	})
	fs.BoolVar(&cfg.AutoCreateTopics, "auto-create", false, "create topics that clients ask for")
	partitions := fs.Int("partitions", 1, "partitions of topics that are created without a `number`")
	fs.DurationVar(&cfg.RetentionInterval, "retention-interval", 0, "how `often` to look for records that topics do not keep (default 5m)")
	fs.DurationVar(&cfg.CompactionInterval, "compaction-interval", 0, "how `often` to look for topics to compact (default 15s)")
	fs.IntVar(&cfg.CompactionBytes, "compaction-bytes", 0, "memory for the keys of one compaction (default 32 MiB)")
	fs.Int64Var(&cfg.ReserveBytes, "reserve-bytes", 0, "disk space to keep free; with less, records are refused (default 256 MiB, -1: none)")
	fs.IntVar(&cfg.MaxConnections, "max-connections", 0, "connections at once (default 1000)")
	fs.IntVar(&cfg.MaxRequestBytes, "max-request-bytes", 0, "size of one request (default 16 MiB)")
	fs.Int64Var(&cfg.MaxInFlightBytes, "max-in-flight-bytes", 0, "size of all requests in flight (default 64 MiB)")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stderr)
		fs.Usage()
		return cfg, err
	case err != nil:
		return cfg, err
	case fs.NArg() > 0:
		return cfg, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case cfg.Dir == "":
		return cfg, errors.New("-dir is missing: name the data directory")
	case cfg.Listen == "":
		return cfg, errors.New("-listen is empty: name an address, such as 127.0.0.1:9092")
	case *partitions < 1 || *partitions > 10_000:
		return cfg, fmt.Errorf("-partitions %d is not in 1..10000", *partitions)
	}
	cfg.DefaultPartitions = int32(*partitions)
	return cfg, cfg.Validate()
}
