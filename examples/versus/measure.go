package main

import (
	"context"
	"errors"
	"strings"
	"time"
)

// figures are what one run took.
type figures struct {
	ready     time.Duration // from the start of the process
	readyApp  time.Duration // processor time until then
	rate      float64       // records/s, from the first record read to the last one
	app       time.Duration // processor time of the process, over its whole life
	broker    time.Duration // of Kafka, meanwhile
	brokerOK  bool          // there is one, and it can be looked at
	steady    float64       // processor time of both for a record, in ns, without the first quarter of them; 0 if too short to tell
	steadyApp float64       // of the process alone
	peak      int64         // bytes
	commits   int64
	output    int64 // records
}

// sample is how far a run is at one moment.
type sample struct {
	at          time.Time
	read        int64
	app, broker time.Duration
}

// watch follows one run. kafka is the process id of the broker, 0 if there is none to look at.
type watch struct {
	p                 *process
	kafka             int
	begin             sample
	first, warm, last sample
}

// leastSteady is how long the steady part of a run must be for its figures to count.
const leastSteady = 500 * time.Millisecond

func (w *watch) sample(read int64) (s sample, err error) {
	w.p.look()
	s.at, s.read = time.Now(), read
	if s.app, err = cpuTime(w.p.cmd.Process.Pid); err == nil && w.kafka != 0 {
		s.broker, err = cpuTime(w.kafka)
	}
	return s, err
}

// untilReady waits until the job runs. It returns the address at which an embedded broker listens, if it said one.
func (w *watch) untilReady(ctx context.Context, f *figures) (listen string, err error) {
	for {
		line, err := w.p.next(ctx)
		if err != nil {
			return "", err
		}
		if addr, ok := strings.CutPrefix(line, "listen "); ok {
			listen = addr
		}
		if line == "ready" {
			s, err := w.sample(0)
			f.ready, f.readyApp = s.at.Sub(w.p.began), s.app
			return listen, err
		}
	}
}

// untilRead waits until the job has read that many records.
func (w *watch) untilRead(ctx context.Context, records int64) error {
	for {
		line, err := w.p.next(ctx)
		if err != nil {
			return err
		}
		text, ok := strings.CutPrefix(line, "read ")
		if !ok {
			continue
		}
		n, err := parseCount(text)
		if err != nil {
			return err
		}
		s, err := w.sample(n)
		if err != nil {
			return err
		}
		if n == 0 || w.first.at.IsZero() {
			w.first = s
		}
		if n >= records/4 && w.warm.at.IsZero() {
			w.warm = s
		}
		if n >= records {
			w.last = s
			return nil
		}
	}
}

// end stops the job, and counts what all of it took. records is the number of the case's records, read how many the job has read of them
// on all its ways.
func (w *watch) end(f *figures, records, read int64) (err error) {
	if f.commits, err = w.p.stop(); err != nil {
		return err
	}
	f.app, f.peak = w.p.used(), w.p.peak
	if w.kafka != 0 {
		now, err := cpuTime(w.kafka)
		if err != nil {
			return errors.Join(err, errors.New("has the broker ended?"))
		}
		f.broker, f.brokerOK = now-w.begin.broker, true
	}
	if took := w.last.at.Sub(w.first.at); took > 0 {
		f.rate = float64(records) * float64(w.last.read-w.first.read) / float64(read) / took.Seconds()
	}
	if took := w.last.at.Sub(w.warm.at); took >= leastSteady && w.last.read-w.warm.read >= read/2 {
		n := float64(records) * float64(w.last.read-w.warm.read) / float64(read)
		f.steadyApp = float64(w.last.app-w.warm.app) / n
		f.steady = f.steadyApp + float64(w.last.broker-w.warm.broker)/n
	}
	return nil
}
