package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/millrace-io/millrace/broker"
)

func backupCommand() command {
	return command{
		name: "backup", args: "-dir DIR -to COPY [-verify=false] [-o text|json]",
		line: "copy a data directory, also of a running broker",
		text: `
Copies a data directory to a new one, which a broker can open like any other. If "millrace broker" runs on it, that process makes the copy
while it serves: the state of one moment after the command was given, with everything that was acknowledged before. Else the directory
is opened, as a broker would, for as long as it takes.

The copy appears under its name when it is whole and on disk; until then it has ".partial" after it. Then it is verified. To restore
is to start a broker on the copy, or on a copy of that. A program with a broker of its own calls Broker.Backup.

  millrace backup -dir /var/lib/millrace -to /backup/millrace-$(date +%F)
`,
		flags: func(fs *flag.FlagSet) action {
			dir := fs.String("dir", "", "data `directory` (required)")
			to := fs.String("to", "", "`directory` to make (required); it must not exist")
			check := fs.Bool("verify", true, "verify the copy")
			output := outputFlag(fs)
			return func(ctx context.Context, args []string, out streams) error {
				emit, err := output(out.out)
				switch {
				case err != nil:
					return err
				case *dir == "":
					return usageError{"-dir is missing: name the data directory"}
				case *to == "":
					return usageError{"-to is missing: name the directory to make"}
				case len(args) > 0:
					return usageError{fmt.Sprintf("unexpected argument %q", args[0])}
				}
				logger := slog.New(slog.NewTextHandler(out.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
				if err := backup(ctx, *dir, *to, logger); err != nil || !*check {
					return err
				}
				return verify(ctx, *to, emit, logger)
			}
		},
	}
}

// backup has the running broker of a directory copy it, or opens it itself if there is none.
func backup(ctx context.Context, dir, to string, logger *slog.Logger) error {
	target, err := filepath.Abs(to) // the other process may stand elsewhere
	if err != nil {
		return err
	}
	asked, err := askForBackup(ctx, dir, target)
	if asked {
		return err
	}
	if !isDataDir(dir) {
		return fmt.Errorf("%s is no data directory: it has no snapshot", dir)
	}
	b, err := broker.Open(ctx, broker.Config{Dir: dir, Logger: logger, OffsetsRetention: -1}) // to expire them is not for a backup
	if errors.Is(err, broker.ErrLocked) {
		return fmt.Errorf("%w; if it is a program with a broker of its own, have that call Broker.Backup", err)
	}
	if err != nil {
		return err
	}
	return errors.Join(b.Backup(ctx, target), b.Close(ctx))
}
