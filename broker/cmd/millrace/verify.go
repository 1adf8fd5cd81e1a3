package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/inspect"
)

func verifyCommand() command {
	return command{
		name: "verify", args: "-dir DIR [-o text|json]",
		line: "check a data directory that nobody has open",
		text: `
Reads everything in a data directory that nobody has open and checks it: the snapshot; every entry of the journal, which must fit the
state before it; the checksum of every batch in every segment, the fields that it does not cover, the order of offsets; and that
indexes say what segments hold. It reads at the speed of the disk, and changes nothing.

What a crash may leave is no fault: a cut-off write at the end of the journal that nobody was told of is mentioned as torn. Each fault
is a line with the file, the byte and what to do, and the exit status is 1.

  millrace verify -dir /var/lib/millrace
`,
		flags: func(fs *flag.FlagSet) action {
			dir := fs.String("dir", "", "data `directory` (required)")
			output := outputFlag(fs)
			return func(ctx context.Context, args []string, to streams) error {
				emit, err := output(to.out)
				switch {
				case err != nil:
					return err
				case *dir == "":
					return usageError{"-dir is missing: name the data directory"}
				case len(args) > 0:
					return usageError{fmt.Sprintf("unexpected argument %q", args[0])}
				}
				return verify(ctx, *dir, emit, slog.New(slog.NewTextHandler(to.err, nil)))
			}
		},
	}
}

// verify checks a directory, and tells each fault and a summary.
func verify(ctx context.Context, dir string, emit func(inspect.Item) error, logger *slog.Logger) error {
	r, err := commitlog.VerifyDir(ctx, commitlog.Config{FS: vfs.Default, Dir: dir, Logger: logger},
		coordinator.New(time.Now, group.Config{}, logger).Machines())
	faults := faultsOf(err)
	if err != nil && len(faults) == 0 {
		return fmt.Errorf("verify %s: %w", dir, err)
	}
	for _, f := range faults {
		if err := emit(inspect.New("fault", "path", f.Path, "position", f.Offset, "reason", f.Err.Error(), "advice", f.Advice)); err != nil {
			return err
		}
	}
	err = emit(inspect.New("verified", "dir", dir, "sound", len(faults) == 0, "cluster", r.ClusterID, "clean", r.Clean,
		"topics", r.Topics, "partitions", r.Partitions, "segments", r.Segments, "bytes", r.Bytes,
		"lsn", uint64(r.LSN), "replayed", r.Replayed, "torn", r.Torn))
	if err == nil && len(faults) > 0 {
		err = fmt.Errorf("verify %s: %d faults", dir, len(faults))
	}
	return err
}

// faultsOf returns the faults that an error joins, or nothing if it is of another kind.
func faultsOf(err error) (all []*commitlog.CorruptionError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // what it joins is looked at, one by one
		for _, e := range joined.Unwrap() {
			all = append(all, faultsOf(e)...)
		}
		return all
	}
	if f, ok := errors.AsType[*commitlog.CorruptionError](err); ok {
		all = append(all, f)
	}
	return all
}
