package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// maxProbes bounds of how many keys a restored store is asked.
const maxProbes = 100_000

// starts measures how long an application takes to run.
func (b *bench) starts(ctx context.Context, wanted map[string]bool, stdout io.Writer) error {
	t := newStartTable(stdout)
	for _, c := range startCases() {
		if !wanted[c.id] {
			continue
		}
		c.records = int64(float64(c.records) * b.scale / 100)
		dir := filepath.Join(b.work, c.id)
		results := make(map[string][]figures)
		err := func() (err error) {
			defer func() { err = errors.Join(err, b.forget(context.WithoutCancel(ctx), c.id, dir)) }()
			for i := range b.count {
				for _, s := range b.chosen {
					b.say("%s: %s, run %d", c.id, s.name, i+1)
					r := b.newAttempt(s, filepath.Join(dir, fmt.Sprint(i)), "count", c.id, i)
					r.in = r.app + "-in"
					f, err := b.startOnce(ctx, r, c.records)
					if err != nil {
						return fmt.Errorf("%s: %w", s.name, err)
					}
					results[s.id] = append(results[s.id], f)
				}
			}
			return t.add(c, b.chosen, results)
		}()
		if err != nil {
			return fmt.Errorf("%s: %w", c.id, err)
		}
	}
	return t.end()
}

// startOnce is one start. Afterwards records are sent to see that what was restored is right.
func (b *bench) startOnce(ctx context.Context, r *attempt, records int64) (f figures, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	err = r.at(ctx, func(p place) error {
		if err := p.create(ctx, false, r.in, r.out); err != nil || records == 0 {
			return err
		}
		// A changelog without positions would be one that somebody has lost the positions of.
		return errors.Join(p.commit(ctx, r.app, r.in), p.load(ctx, changelogInput(r.app+"-"+storeOfCounts+"-changelog", records)))
	})
	if err != nil {
		return f, err
	}
	w, err := r.start(ctx, "listen=1")
	if err != nil {
		return f, err
	}
	probes := probeInput(r.in, records)
	if err := b.probe(ctx, r, w, probes, &f); err != nil {
		return f, errors.Join(err, w.p.kill())
	}
	if f.commits, err = w.p.stop(); err != nil {
		return f, err
	}
	want := newTable()
	for n := range probes.records {
		rec := probes.at(n)
		want.want[string(rec.key)] = int64(binary.BigEndian.Uint64(rec.value)) + 2 // the changelog has one more than the key's number
	}
	err = r.at(ctx, func(p place) (err error) {
		f.output, err = r.verify(ctx, p, want)
		return err
	})
	return f, errors.Join(err, r.clean(context.WithoutCancel(ctx)))
}

// probe waits until the application runs, which is what is measured, and sends it the probes.
func (b *bench) probe(ctx context.Context, r *attempt, w *watch, probes input, f *figures) error {
	listen, err := w.untilReady(ctx, f)
	if err != nil {
		return err
	}
	f.peak, f.app = w.p.peak, f.readyApp
	if w.kafka != 0 {
		used, err := cpuTime(w.kafka)
		if err != nil {
			return err
		}
		f.broker, f.brokerOK = used-w.begin.broker, true
	}
	at := place{brokers: []string{listen}}
	if !r.side.embedded {
		at = b.kafka.place
	}
	if _, err := at.write(ctx, probes); err != nil {
		return err
	}
	return w.untilRead(ctx, probes.records)
}

// probeInput has one record for each key that is asked for, over all of the changelog; at least one, which finds nothing, if that is empty.
// The value is the key's number, in a first record that finds nothing one less than none.
func probeInput(topic string, records int64) input {
	n := max(min(records, maxProbes), 1)
	return input{topic: topic, records: n, at: func(i int64) record {
		index := i * max(records, 1) / n
		number := index
		if records == 0 {
			number = -1
		}
		return record{
			key:       appendKey(nil, firstPrefix, index),
			value:     binary.BigEndian.AppendUint64(nil, uint64(number)),
			timestamp: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(),
		}
	}}
}
