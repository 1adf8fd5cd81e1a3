package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/runtime"
)

// childCommand is the first argument of a process that runs one job. What follows is name=value, as java/Peer.java takes it:
//
//	job in other out app  what to run
//	dir                   where state is, and the embedded broker's log
//	brokers               the log; none: the embedded broker, in this process
//	listen=1              the embedded broker takes connections; their address is printed
//	threads commit        workers, and the commit interval in milliseconds
//	guarantee             eos or alo
//	profile               the file for a CPU profile
//
// It prints "ready" when the job runs, "read N" every 50 ms, and when its input is closed it stops and prints "end commits=N".
const childCommand = "child"

const tick = 50 * time.Millisecond

var errInputClosed = errors.New("input is closed")

// runChild is what a process does that runs one job.
func runChild(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) (err error) {
	given := make(map[string]string)
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		given[name] = value
	}
	if path := given["profile"]; path != "" {
		stop, err := profile(path)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	if given["job"] == brokerJob {
		return runBroker(ctx, given, stdin, stdout)
	}
	conf, err := childConfig(given)
	if err != nil {
		return err
	}
	if given["brokers"] == "" {
		b, err := openEmbedded(ctx, given["dir"], given["listen"] != "")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.Close(context.WithoutCancel(ctx))) }()
		conf.Brokers, conf.Dial = b.Brokers(), b.Dial
		if given["listen"] != "" {
			if _, err := fmt.Fprintf(stdout, "listen %s\n", b.Addr()); err != nil {
				return err
			}
		}
	}
	top, err := buildJob(given["job"], names{in: given["in"], other: given["other"], out: given["out"]})
	if err != nil {
		return err
	}
	app, err := runtime.New(top, conf)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() { // ends with ctx, and is waited for
		err := app.Run(ctx)
		cancel(cmp.Or(err, errors.New("the application ended by itself")))
		ended <- err
	}()
	go func() { // ends with the process's input
		_, err := io.Copy(io.Discard, stdin)
		cancel(cmp.Or(err, errInputClosed))
	}()
	err = report(ctx, app, stdout)
	commits := app.Stats().Commits
	cancel(nil)
	err = errors.Join(err, <-ended)
	if cause := context.Cause(ctx); !errors.Is(cause, errInputClosed) {
		err = errors.Join(err, cause)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "end commits=%d\n", commits)
	return err
}

// profile writes a CPU profile to a file, until stop is called.
func profile(path string) (stop func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

func childConfig(given map[string]string) (runtime.Config, error) {
	c := runtime.Config{
		ApplicationID: given["app"],
		StateDir:      filepath.Join(given["dir"], "state"),
		Logger:        slog.New(slog.DiscardHandler),
	}
	if s := given["brokers"]; s != "" {
		c.Brokers = strings.Split(s, ",")
	}
	if given["guarantee"] == "alo" {
		c.Guarantee = runtime.AtLeastOnce
	}
	workers, err := strconv.Atoi(given["threads"])
	if err != nil {
		return c, fmt.Errorf("threads: %w", err)
	}
	commit, err := strconv.Atoi(given["commit"])
	if err != nil {
		return c, fmt.Errorf("commit: %w", err)
	}
	c.Workers, c.CommitInterval = workers, time.Duration(commit)*time.Millisecond
	return c, nil
}

// openEmbedded opens the broker whose log is below dir.
func openEmbedded(ctx context.Context, dir string, listen bool) (*broker.Broker, error) {
	c := brokerConfig(dir)
	if listen {
		c.Listen = "127.0.0.1:0"
	}
	return broker.Open(ctx, c)
}

// report says how far the job is until ctx ends.
func report(ctx context.Context, app *runtime.App, stdout io.Writer) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	ready := false
	for {
		s := app.Stats()
		if !ready && s.State == runtime.Running && len(s.Tasks) > 0 {
			ready = true
			if _, err := fmt.Fprintln(stdout, "ready"); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(stdout, "read %d\n", s.Read); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
