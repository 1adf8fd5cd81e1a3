package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/millrace-io/millrace/broker"
)

// brokerFlags defines a flag for each field of the configuration. The function that it returns is for after the command line was read: it
// reads the file that it names, and returns the configuration.
func brokerFlags(fs *flag.FlagSet) func(args []string) (broker.Config, error) {
	var cfg broker.Config
	fs.StringVar(&cfg.Dir, "dir", "", "data `directory`, created if it is missing (required)")
	file := fs.String("config", "", "`file` with flags, one a line")
	fs.StringVar(&cfg.Listen, "listen", "127.0.0.1:9092", "`address` to listen on; port 0 takes a free one")
	fs.StringVar(&cfg.Advertise, "advertise", "", "`address` that clients are told to connect to (default: the one listened on)")
	fs.StringVar(&cfg.Rack, "rack", "", "`name` of the rack that clients are told (default: none)")
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
	fs.DurationVar(&cfg.OffsetsRetention, "offsets-retention", 0, "how `long` a group without members keeps its offsets (default 168h; -1ns: for ever)")
	fs.DurationVar(&cfg.GroupHeartbeatInterval, "group-heartbeat-interval", 0, "how `often` members of groups of the new protocol are to be heard of (default 5s)")
	fs.DurationVar(&cfg.GroupSessionTimeout, "group-session-timeout", 0, "how `long` such a member may be silent (default 45s)")
	fs.Func("group-migration-policy", "which groups change to the new protocol, or back, while they have members: bidirectional, upgrade, downgrade or disabled (default bidirectional)", func(s string) error {
		for m := broker.MigrateBothWays; m <= broker.MigrateNever; m++ {
			if m.String() == s {
				cfg.GroupMigration = m
				return nil
			}
		}
		return errors.New("want bidirectional, upgrade, downgrade or disabled")
	})
	fs.DurationVar(&cfg.CompactionInterval, "compaction-interval", 0, "how `often` to look for topics to compact (default 15s)")
	fs.IntVar(&cfg.CompactionBytes, "compaction-bytes", 0, "memory for the keys of one compaction (default 32 MiB)")
	fs.Int64Var(&cfg.ReserveBytes, "reserve-bytes", 0, "disk space to keep free; with less, records are refused (default 256 MiB, -1: none)")
	fs.IntVar(&cfg.MaxConnections, "max-connections", 0, "connections at once (default 1000)")
	fs.IntVar(&cfg.MaxRequestBytes, "max-request-bytes", 0, "size of one request (default 100 MiB)")
	fs.Int64Var(&cfg.MaxInFlightBytes, "max-in-flight-bytes", 0, "size of all requests in flight (default 128 MiB)")
	security := securityFlags(fs)
	return func(args []string) (_ broker.Config, err error) {
		if *file != "" {
			if err := readConfigFile(fs, *file); err != nil {
				return cfg, err
			}
		}
		if cfg.Security, err = security(); err != nil {
			return cfg, err
		}
		switch {
		case len(args) > 0:
			return cfg, usageError{fmt.Sprintf("unexpected argument %q", args[0])}
		case cfg.Dir == "":
			return cfg, usageError{"-dir is missing: name the data directory"}
		case cfg.Listen == "":
			return cfg, usageError{"-listen is empty: name an address, such as 127.0.0.1:9092"}
		case *partitions < 1 || *partitions > 10_000:
			return cfg, usageError{fmt.Sprintf("-partitions %d is not in 1..10000", *partitions)}
		}
		cfg.DefaultPartitions = int32(*partitions)
		if err := cfg.Validate(); err != nil {
			return cfg, usageError{strings.ReplaceAll(err.Error(), "\n", "; ")}
		}
		return cfg, nil
	}
}

// readConfigFile sets the flags that a file names and the command line did not.
func readConfigFile(fs *flag.FlagSet, path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	given := map[string]bool{"config": true}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for i, line := range strings.Split(string(raw), "\n") {
		n := i + 1
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok:
			return usageError{fmt.Sprintf("%s, line %d: want name = value", path, n)}
		case fs.Lookup(name) == nil || name == "config":
			return usageError{fmt.Sprintf("%s, line %d: there is no setting %q", path, n, name)}
		case given[name]:
			continue
		}
		if err := fs.Set(name, value); err != nil {
			return usageError{fmt.Sprintf("%s, line %d: %s: %v", path, n, name, err)}
		}
	}
	return nil
}
