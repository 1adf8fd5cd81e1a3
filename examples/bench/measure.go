package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/examples/internal/cluster"
	"github.com/millrace-io/millrace/runtime"
)

// cost is what one record of the input costs.
type cost struct {
	cpu    float64 // ns
	allocs float64
	bytes  float64 // allocated
	copied float64 // bytes over connections, both ways, and into files
	rate   float64 // records/s
}

// median returns the median of each figure.
func median(runs []cost) cost {
	of := func(f func(cost) float64) float64 {
		figures := make([]float64, len(runs))
		for i, r := range runs {
			figures[i] = f(r)
		}
		slices.Sort(figures)
		return figures[len(figures)/2]
	}
	return cost{
		cpu: of(func(c cost) float64 { return c.cpu }), allocs: of(func(c cost) float64 { return c.allocs }),
		bytes: of(func(c cost) float64 { return c.bytes }), copied: of(func(c cost) float64 { return c.copied }),
		rate: of(func(c cost) float64 { return c.rate }),
	}
}

// measurement is one job on one log.
type measurement struct {
	log     *cluster.Log
	job     jobKind
	records int
	prefix  string
	wire    atomic.Int64 // bytes over the application's connections
}

func (m *measurement) in() string  { return m.prefix + "in" }
func (m *measurement) out() string { return m.prefix + "out" }
func (m *measurement) app() string { return m.prefix + "app" }

// prepare makes the topics and writes the input.
func (m *measurement) prepare(ctx context.Context) error {
	cl, err := kgo.NewClient(append(m.log.ClientOptions(), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopics(ctx, partitions, -1, nil, m.in(), m.out()); err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	done := kgo.AbortingFirstErrPromise(cl)
	for _, r := range input(m.records) {
		cl.Produce(ctx, &kgo.Record{Topic: m.in(), Key: r.key, Value: r.value}, done.Promise())
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("write the input: %w", err)
	}
	return done.Err()
}

// run runs the job until it has committed everything, and counts what that took.
func (m *measurement) run(ctx context.Context) (cost, error) {
	top, err := m.job.build(m.in(), m.out())
	if err != nil {
		return cost{}, err
	}
	app, err := runtime.New(top, runtime.Config{
		ApplicationID: m.app(),
		StateDir:      m.log.StateDir(),
		Brokers:       m.log.Brokers,
		Dial:          m.dial,
		Logger:        slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return cost{}, err
	}
	goruntime.GC()
	begin, err := m.used()
	if err != nil {
		return cost{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() { // ends with ctx, and is waited for
		err := app.Run(ctx)
		cancel(cmp.Or(err, errEnded))
		ended <- err
	}()
	m.await(ctx, app)
	end, err := m.used()
	interrupted := context.Cause(ctx)
	cancel(nil)
	if err := errors.Join(err, <-ended, interrupted); err != nil {
		return cost{}, err
	}
	n := float64(m.records)
	return cost{
		cpu:    float64(end.cpu-begin.cpu) / n,
		allocs: float64(end.mallocs-begin.mallocs) / n,
		bytes:  float64(end.bytes-begin.bytes) / n,
		copied: float64(end.copied-begin.copied) / n,
		rate:   n / (end.wall - begin.wall).Seconds(),
	}, nil
}

var errEnded = errors.New("the application ended by itself")

// await returns when the job has read everything and committed it, or ctx has ended.
func (m *measurement) await(ctx context.Context, app *runtime.App) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s := app.Stats(); s.Lag == 0 && s.Read == int64(m.records*m.job.hops) {
				return
			}
		}
	}
}

// usage is what the process has used so far.
type usage struct {
	cpu, wall      time.Duration
	mallocs, bytes uint64
	copied         int64
}

var started = time.Now()

func (m *measurement) used() (usage, error) {
	var s goruntime.MemStats
	goruntime.ReadMemStats(&s)
	files, err := m.fileBytes()
	return usage{
		cpu: cpuTime(), wall: time.Since(started), mallocs: s.Mallocs, bytes: s.TotalAlloc,
		copied: m.wire.Load() + files,
	}, err
}

// dial counts the bytes of the application's connections.
func (m *measurement) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := m.log.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: conn, bytes: &m.wire}, nil
}

type countedConn struct {
	net.Conn
	bytes *atomic.Int64
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// fileBytes is how much the files below the data directory hold.
func (m *measurement) fileBytes() (total int64, err error) {
	err = filepath.WalkDir(m.log.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		total += info.Size()
		return nil
	})
	return total, err
}

// ignoreMissing passes over a file that is gone by the time it is looked at.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// remove deletes what a run left in a log that is not its own.
func (m *measurement) remove(ctx context.Context) error {
	if m.log.Dial != nil {
		return nil
	}
	cl, err := kgo.NewClient(m.log.ClientOptions()...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		return err
	}
	mine := slices.DeleteFunc(topics.Names(), func(name string) bool { return !strings.HasPrefix(name, m.prefix) })
	_, err = adm.DeleteTopics(ctx, mine...)
	return err
}
