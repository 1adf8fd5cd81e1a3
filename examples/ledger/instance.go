package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/topology"
)

// instanceRole is one instance of both applications.
type instanceRole struct {
	Names    names
	Brokers  []string
	Dir      string // state, and the status file
	Accounts int
	Workers  int
	Standbys int
	// Session and Transaction are the time-outs; Commit is the interval.
	Session, Transaction, Commit time.Duration
	Order                        *order // to be obeyed from the start on
}

func (r *instanceRole) statusPath() string { return filepath.Join(r.Dir, "status") }
func (r *instanceRole) stateDir() string   { return filepath.Join(r.Dir, "state") }

// run runs the applications until ctx ends or one of them fails. Orders come on standard input.
func (r *instanceRole) run(ctx context.Context, stderr io.Writer) (err error) {
	w, err := newWatch(r.statusPath(), r.Names.bank(), r.Names.views())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if r.Order != nil {
		w.obey(*r.Order)
	}
	go takeOrders(os.Stdin, w) // ends with the process: a read of standard input cannot be interrupted

	logger := slog.New(slog.NewTextHandler(stderr, nil))
	top, err := bank(r.Names, r.Accounts)
	if err != nil {
		return err
	}
	viewsTop, err := views(r.Names)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	errs := make([]error, 2)
	for i, a := range []struct {
		id  string
		top *topology.Topology
	}{{r.Names.bank(), top}, {r.Names.views(), viewsTop}} {
		running.Go(func() {
			defer cancel() // one instance is both applications
			if err := r.runApp(ctx, a.id, a.top, w, logger); err != nil {
				errs[i] = fmt.Errorf("%s: %w", a.id, err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

func (r *instanceRole) runApp(ctx context.Context, id string, top *topology.Topology, w *watch, logger *slog.Logger) error {
	app, err := runtime.New(top, runtime.Config{
		ApplicationID:      id,
		StateDir:           r.stateDir(),
		Brokers:            r.Brokers,
		Dial:               w.dial,
		Workers:            r.Workers,
		NumStandbyReplicas: r.Standbys,
		CommitInterval:     r.Commit,
		SessionTimeout:     r.Session,
		TransactionTimeout: r.Transaction,
		RebalanceTimeout:   10 * time.Second,
		ConnectTimeout:     time.Minute, // the broker may be down when an instance starts
		Logger:             logger,
		RestoreListener:    w.restored,
		Listener:           func(c runtime.StateChange) { w.runs(id, c.To == runtime.Running) },
	})
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// dial connects through a tap.
func (w *watch) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newTap(c, w), nil
}

// takeOrders hands on the orders that come as lines.
func takeOrders(from io.Reader, w *watch) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var o order
		if json.Unmarshal(lines.Bytes(), &o) == nil {
			w.obey(o)
		}
	}
}
