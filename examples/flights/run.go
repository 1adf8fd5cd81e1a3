package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/examples/internal/cluster"
)

// stopTimeout bounds the graceful end.
const stopTimeout = 30 * time.Second

// program is what tests change of the example: the names that it uses, and how often it says how far it is.
type program struct {
	names names
	every time.Duration
}

// run is the program: args are its flags, results go to stdout, progress and log lines to stderr.
func (p program) run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	began := time.Now()
	con := newConsole(stderr, p.every)
	defer con.clear()
	logger := slog.New(slog.NewTextHandler(con, &slog.HandlerOptions{Level: slog.LevelWarn}))

	src := dataSource(o.data)
	want, err := src.inspect(ctx)
	if err != nil {
		return interrupted(ctx, &o, err)
	}
	log, err := o.cluster.Open(ctx, logger)
	if err != nil {
		return err
	}
	defer func() {
		// Also after an interrupt: the log is closed in order.
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, log.Close(stop))
	}()
	j := &job{names: p.names, log: log, console: con, logger: logger, began: began}
	if err := j.open(ctx, &o, src, want); err != nil {
		return interrupted(ctx, &o, err)
	}
	defer j.close()
	if err := j.run(ctx); err != nil {
		return interrupted(ctx, &o, err)
	}
	res, err := readResults(ctx, log.ClientOptions(), p.names)
	if err != nil {
		return interrupted(ctx, &o, err)
	}
	con.clear()
	if o.json {
		return res.writeJSON(stdout)
	}
	return writeReport(stdout, &res, j.summary(time.Now()))
}

// interrupted puts an error that comes of an interrupt into words.
func interrupted(ctx context.Context, o *options, err error) error {
	switch {
	case ctx.Err() == nil:
		return err
	case o.cluster.Dir != "":
		return fmt.Errorf("interrupted; run again with -dir %s to go on", o.cluster.Dir)
	default:
		return errors.New("interrupted; with a -dir of its own it could be run again to go on")
	}
}

func logInWords(l *cluster.Log) string {
	if l.Dial != nil {
		return "on the embedded broker"
	}
	return fmt.Sprintf("on the log at %v", l.Brokers)
}
