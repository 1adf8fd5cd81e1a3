package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"
)

// errViolated ends a run that found a violation; the report says which.
var errViolated = errors.New("a promise is broken: see the report")

// drive is the whole test: segments of feeding, hurting and checking, one after the other, and a report.
func drive(ctx context.Context, o *options, stdout, stderr io.Writer) (err error) {
	if o.quiet {
		stderr = io.Discard
	}
	began := time.Now()
	d := &driverRun{options: o, report: newReport(o), addresses: o.brokers, progress: stderr, began: began}
	if err := d.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	for n := 0; ctx.Err() == nil && (n == 0 || time.Since(began) < o.duration); n++ {
		if err := d.segment(ctx, n); err != nil {
			return errors.Join(err, d.report.write(stdout, time.Since(began)))
		}
	}
	if ctx.Err() == nil { // an interrupted run has not done what it was asked for
		d.report.found(d.report.holds(o))
	}
	if err := d.report.write(stdout, time.Since(began)); err != nil {
		return err
	}
	if d.report.violated() {
		return errViolated
	}
	return nil
}

// driverRun is a run: what its segments share.
type driverRun struct {
	*options
	report    *report
	addresses []string
	work      string // directory
	broker    *process
	cluster   *cluster
	progress  io.Writer
	began     time.Time
}

// say tells of the progress. Nothing depends on its being heard.
func (d *driverRun) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.progress, "%7.2fs  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

// open makes the directory and starts the broker.
func (d *driverRun) open() (err error) {
	d.work = d.dir
	if d.work == "" {
		if d.work, err = os.MkdirTemp("", "ledger-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(d.work, 0o755); err != nil {
		return err
	}
	d.say("seed %d, in %s", d.seed, d.work)
	if d.kafkaDir != "" {
		d.cluster, d.addresses, err = openCluster(d.kafkaTool, d.kafkaDir)
		return err
	}
	if len(d.addresses) > 0 {
		return nil
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	d.addresses = []string{address}
	if err := d.startBroker(); err != nil {
		return err
	}
	return d.awaitBroker()
}

// awaitBroker waits until the broker takes connections.
func (d *driverRun) awaitBroker() error {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", d.addresses[0], time.Second)
		if err == nil {
			return c.Close()
		}
		if d.broker.gone() || time.Since(began) > closeTimeout {
			return fmt.Errorf("the broker does not start: %w: %s", err, d.broker.lastWords())
		}
	}
}

// freeAddress finds a port outside the range that the system takes ports of outgoing connections from: a client that tries to
// connect while the broker is away could otherwise take the broker's own port, and be connected to itself.
func freeAddress() (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))
		if l, err := net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port from 20000 to 29999")
}

func (d *driverRun) startBroker() (err error) {
	r := role{Broker: &brokerRole{Dir: filepath.Join(d.work, "log"), Listen: d.addresses[0]}}
	d.broker, err = r.start("broker", d.work)
	return err
}

// close stops the broker, and removes the directory unless it is to be kept.
func (d *driverRun) close() error {
	var err error
	if d.broker != nil {
		err = d.broker.stop()
	}
	if d.dir == "" && d.report.Kept == "" {
		err = errors.Join(err, os.RemoveAll(d.work))
	}
	return err
}

// segment makes one round on topics of its own, and books what it found.
func (d *driverRun) segment(ctx context.Context, n int) error {
	o := *d.options
	o.seed += uint64(n)
	o.duration = min(o.segment, max(o.duration-time.Since(d.began), 5*time.Second))
	s := &segment{
		driverRun: d, options: &o,
		names:   names{fmt.Sprintf("ledger-%x-%x-", o.seed, time.Now().UnixMilli())},
		dir:     filepath.Join(d.work, fmt.Sprintf("segment-%d", n)),
		verdict: newVerdict(),
	}
	h, err := s.run(ctx)
	if err != nil {
		d.report.Kept = d.work
		return fmt.Errorf("segment %d: %w; see %s", n, err, d.work)
	}
	v := h.judge()
	v.merge(s.verdict)
	d.report.book(h, v)
	if v.total() > 0 {
		d.report.Kept = d.work
		d.say("%d VIOLATIONS", v.total())
		return nil
	}
	d.say("no violation")
	return s.tidy(ctx)
}

// merge adds what another verdict found.
func (v *verdict) merge(other *verdict) {
	for oracle, n := range other.Counts {
		v.Counts[oracle] += n
	}
	for oracle, n := range other.Checked {
		v.Checked[oracle] += n
	}
	v.First = append(v.First, other.First...)
}
