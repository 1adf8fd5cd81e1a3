package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// latencyRate is how many records are sent in a second.
const latencyRate = 1000

// latency is how long it took from when a record was due to be appended until its result was visible to a read_committed consumer. A
// result that a later one of its key replaced before the commit is never visible, and does not count.
type latency struct {
	p50, p99, p999, max time.Duration
	results             int
	app, broker         float64 // cores in use
	brokerOK            bool
}

// latencies measures a count at a low rate on all sides.
func (b *bench) latencies(ctx context.Context, stdout io.Writer) (err error) {
	t := newLatencyTable(stdout)
	dir := filepath.Join(b.work, latencyCase)
	defer func() { err = errors.Join(err, b.forget(context.WithoutCancel(ctx), latencyCase, dir)) }()
	results := make(map[string][]latency)
	for i := range b.count {
		for _, s := range b.chosen {
			b.say("%s: %s, run %d", latencyCase, s.name, i+1)
			r := b.newAttempt(s, filepath.Join(dir, fmt.Sprint(i)), "count", latencyCase, i)
			r.in = r.app + "-in"
			l, err := b.latencyOnce(ctx, r)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", latencyCase, s.name, err)
			}
			results[s.id] = append(results[s.id], l)
		}
	}
	if err := t.add(b.chosen, results); err != nil {
		return err
	}
	return t.end()
}

func (b *bench) latencyOnce(ctx context.Context, r *attempt) (l latency, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	if err := r.at(ctx, func(p place) error { return p.create(ctx, false, r.in, r.out) }); err != nil {
		return l, err
	}
	w, err := r.start(ctx, "listen=1")
	if err != nil {
		return l, err
	}
	var f figures
	listen, err := w.untilReady(ctx, &f)
	if err != nil {
		return l, errors.Join(err, w.p.kill())
	}
	running, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	drained := make(chan struct{})
	go func() { // ends with the child's output
		defer close(drained)
		for range w.p.lines { // it says how much it has read, which nobody asks here
		}
		ended(errChildEnded) // nobody waits for its results any more
	}()
	at := place{brokers: []string{listen}}
	if !r.side.embedded {
		at = b.kafka.place
	}
	l, err = measureLatency(running, at, r, w, time.Duration(b.seconds)*time.Second)
	if err = errors.Join(err, w.p.stdin.Close()); err != nil {
		return l, errors.Join(err, w.p.kill())
	}
	<-drained
	return l, errors.Join(w.p.wait(), r.clean(context.WithoutCancel(ctx)))
}

// measureLatency sends records for half of that time to warm up, then for all of it.
func measureLatency(ctx context.Context, at place, r *attempt, w *watch, measured time.Duration) (l latency, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e := &echo{due: make(map[string][]time.Time), seen: make(map[string]int)}
	consumer, err := at.client(kgo.ConsumeTopics(r.out), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return l, err
	}
	defer consumer.Close()
	heard := make(chan error, 1)
	go func() { // ends when all has been heard, or with ctx
		err := e.listen(ctx, consumer)
		if err != nil {
			cancel(err)
		}
		heard <- err
	}()
	producer, err := at.client(kgo.ProducerLinger(0), kgo.DefaultProduceTopic(r.in), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		cancel(err)
		return l, errors.Join(err, <-heard)
	}
	defer producer.Close()
	begin := time.Now()
	warm := begin.Add(measured / 2)
	e.count(warm)
	err = e.send(ctx, producer, begin, warm)
	before, err1 := w.sample(0)
	if err == nil && err1 == nil {
		err = e.send(ctx, producer, warm, warm.Add(measured))
	}
	after, err2 := w.sample(0)
	e.end()
	if err = errors.Join(err, err1, err2, producer.Flush(ctx)); err != nil {
		cancel(err)
	}
	if err = errors.Join(err, <-heard); err != nil {
		return l, err
	}
	l = e.figures()
	took := after.at.Sub(before.at).Seconds()
	l.app, l.broker, l.brokerOK = (after.app-before.app).Seconds()/took, (after.broker-before.broker).Seconds()/took, w.kafka != 0
	return l, nil
}

// echo knows when each record was due, and hears when its result comes: a count of n of a key is the result of its nth record.
type echo struct {
	mu    sync.Mutex
	due   map[string][]time.Time
	seen  map[string]int // the last count of each key
	open  int            // keys whose last count has not been seen
	sent  int64
	from  time.Time // records count that are due from then on
	ended bool
	took  []time.Duration
}

func (e *echo) count(from time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.from = from
}

func (e *echo) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}

// send sends records at the rate, each at its time.
func (e *echo) send(ctx context.Context, cl *kgo.Client, from, to time.Time) error {
	done := kgo.AbortingFirstErrPromise(cl)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := from; due.Before(to); due = due.Add(time.Second / latencyRate) {
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		n := e.note(due)
		key := streamKey(keyIndex(streamSeed, n, someKeys))
		cl.Produce(ctx, &kgo.Record{Key: key, Value: appendValue(nil, streamSeed, n)}, done.Promise())
	}
	return done.Err()
}

// note notes the next record, and returns its number.
func (e *echo) note(due time.Time) (n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n = e.sent
	e.sent++
	key := string(streamKey(keyIndex(streamSeed, n, someKeys)))
	if e.seen[key] == len(e.due[key]) {
		e.open++
	}
	e.due[key] = append(e.due[key], due)
	return n
}

// listen returns when the last count of every key was heard.
func (e *echo) listen(ctx context.Context, cl *kgo.Client) error {
	for !e.complete() {
		waiting, cancel := context.WithTimeout(ctx, tick) // so that it is seen that nothing is missing any more
		fetches := cl.PollFetches(waiting)
		cancel()
		now := time.Now()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		for _, f := range fetches.Errors() {
			if !errors.Is(f.Err, context.DeadlineExceeded) {
				err = errors.Join(err, f.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) { err = errors.Join(err, e.hear(r, now)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *echo) complete() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ended && e.open == 0
}

func (e *echo) hear(r *kgo.Record, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := string(r.Key)
	if len(r.Value) != 8 {
		return fmt.Errorf("result of %s has %d bytes, want a count", key, len(r.Value))
	}
	n := binary.BigEndian.Uint64(r.Value)
	if n <= uint64(e.seen[key]) || n > uint64(len(e.due[key])) {
		return fmt.Errorf("count %d of %s after %d, and %d were sent", n, key, e.seen[key], len(e.due[key]))
	}
	e.seen[key] = int(n)
	if e.seen[key] == len(e.due[key]) {
		e.open--
	}
	if due := e.due[key][n-1]; !due.Before(e.from) {
		e.took = append(e.took, now.Sub(due))
	}
	return nil
}

func (e *echo) figures() (l latency) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.results = len(e.took)
	if l.results == 0 {
		return l
	}
	slices.Sort(e.took)
	l.p50, l.p99, l.p999, l.max = percentile(e.took, 0.5), percentile(e.took, 0.99), percentile(e.took, 0.999), e.took[l.results-1]
	return l
}
