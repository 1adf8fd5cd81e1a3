package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/millrace-io/millrace/broker"
)

// A running "millrace broker" takes orders of whoever may write to its data directory, through a socket in it: one request a connection,
// a line of JSON, and one answer, another line. A client that goes takes its order back.

// controlName is the socket's name in the data directory.
const controlName = "control.sock"

// order is a request.
type order struct {
	Backup string `json:"backup"` // the directory to copy to
}

// outcome is the answer. An empty Error is success.
type outcome struct {
	Error string `json:"error"`
}

// control is the listening side.
type control struct {
	broker   *broker.Broker
	listener net.Listener
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// serveControl listens until close. The caller has the data directory locked, so that a socket that is there is of a process that is
// gone. Without a socket, as where its path would be too long, the broker runs all the same.
func serveControl(b *broker.Broker, dir string, logger *slog.Logger) *control {
	ctx, cancel := context.WithCancel(context.Background())
	c := &control{broker: b, cancel: cancel}
	path := filepath.Join(dir, controlName)
	err := os.Remove(path)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		if c.listener, err = net.Listen("unix", path); err == nil {
			err = os.Chmod(path, 0o600)
		}
	}
	if err != nil {
		logger.Warn("millrace backup cannot reach this process", "err", err)
		return c
	}
	c.wg.Go(func() { c.accept(ctx) })
	return c
}

// close ends all orders and waits for them.
func (c *control) close() {
	c.cancel()
	if c.listener != nil {
		_ = c.listener.Close() // removes the socket; the next start does it too
	}
	c.wg.Wait()
}

func (c *control) accept(ctx context.Context) {
	for {
		nc, err := c.listener.Accept()
		if err != nil {
			return // closed
		}
		c.wg.Go(func() { c.serve(ctx, nc) })
	}
}

// serve answers one connection.
func (c *control) serve(ctx context.Context, nc net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() }) // also wakes the reads below
	defer func() {
		stop()
		_ = nc.Close()
	}()
	in := json.NewDecoder(nc)
	var o order
	if err := in.Decode(&o); err != nil {
		return // it asked for nothing
	}
	answer := make(chan outcome, 1)
	c.wg.Go(func() { answer <- c.perform(ctx, o) })
	gone := make(chan struct{})
	c.wg.Go(func() { // the client has no more to say: a read ends when it goes, or when serve does
		defer close(gone)
		_, _ = in.Buffered().Read(nil)
		_, _ = nc.Read(make([]byte, 1))
	})
	select {
	case out := <-answer:
		_ = json.NewEncoder(nc).Encode(out) // a client that went does not want to know
	case <-gone:
	}
}

func (c *control) perform(ctx context.Context, o order) outcome {
	if o.Backup == "" {
		return outcome{Error: "no such order"}
	}
	if err := c.broker.Backup(ctx, o.Backup); err != nil {
		return outcome{Error: err.Error()}
	}
	return outcome{}
}

// askForBackup has the process that runs on a directory copy it. asked is false if there is none.
func askForBackup(ctx context.Context, dir, to string) (asked bool, err error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", filepath.Join(dir, controlName))
	if err != nil {
		return false, nil //nolint:nilerr // whoever opens the directory next finds out whether somebody has it
	}
	defer func() { _ = nc.Close() }() // what it said was read
	defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
	if err := json.NewEncoder(nc).Encode(order{Backup: to}); err != nil {
		return true, fmt.Errorf("ask the broker on %s: %w", dir, err)
	}
	var out outcome
	if err := json.NewDecoder(bufio.NewReader(nc)).Decode(&out); err != nil {
		if ctx.Err() != nil {
			return true, context.Cause(ctx)
		}
		return true, fmt.Errorf("the broker on %s went away: %w", dir, err)
	}
	if out.Error != "" {
		return true, errors.New(out.Error)
	}
	return true, nil
}

func isDataDir(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "snapshot"))
	return err == nil
}
