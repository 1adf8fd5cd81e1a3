package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// all measures the cases, and prints a table for each kind of them.
func (b *bench) all(ctx context.Context, ids []string, stdout io.Writer) error {
	if _, err := fmt.Fprintf(stdout, "%g %% of the records, %d run(s) each; %s, commit interval %v, %d workers\n",
		b.scale, b.count, map[string]string{"eos": "exactly once", "alo": "at least once"}[b.guarantee], b.commit, b.threads); err != nil {
		return err
	}
	wanted := make(map[string]bool)
	for _, id := range ids {
		wanted[id] = true
	}
	t := newThroughputTable(stdout)
	for _, c := range cases() {
		if !wanted[c.id] {
			continue
		}
		sized := sized{c, max(int64(float64(c.records)*b.scale/100), 1)}
		if err := b.throughput(ctx, sized, t); err != nil {
			return fmt.Errorf("%s: %w", c.id, errors.Join(err, t.end()))
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	if err := b.starts(ctx, wanted, stdout); err != nil {
		return err
	}
	if wanted[latencyCase] {
		if err := b.latencies(ctx, stdout); err != nil {
			return err
		}
	}
	return b.brokers(ctx, wanted, stdout)
}

// throughput measures one case on all sides, in turn.
func (b *bench) throughput(ctx context.Context, c sized, t *throughputTable) (err error) {
	dir := filepath.Join(b.work, c.id)
	defer func() { err = errors.Join(err, b.forget(context.WithoutCancel(ctx), c.id, dir)) }()
	if err := b.loadInputs(ctx, c, dir); err != nil {
		return err
	}
	want := c.want(c)
	results := make(map[string][]figures)
	for i := range b.count {
		for _, s := range b.chosen {
			b.say("%s: %s, run %d", c.id, s.name, i+1)
			f, err := b.once(ctx, b.newAttempt(s, dir, c.job, c.id, i), c, want)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			results[s.id] = append(results[s.id], f)
		}
	}
	return t.add(c, b.chosen, results)
}

// loadInputs writes the inputs to each log that a side reads.
func (b *bench) loadInputs(ctx context.Context, c sized, dir string) error {
	kafkaHasThem := false
	for _, s := range b.chosen {
		if !s.embedded && kafkaHasThem {
			continue
		}
		kafkaHasThem = kafkaHasThem || !s.embedded
		r := b.newAttempt(s, dir, c.job, c.id, 0)
		err := r.at(ctx, func(p place) error {
			for _, in := range c.inputs(c, r.names) {
				b.say("%s: writing %d records", c.id, in.records)
				if err := p.load(ctx, in); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forget removes what a case has left.
func (b *bench) forget(ctx context.Context, id, dir string) error {
	err := os.RemoveAll(dir)
	if b.kafka != nil && b.kafka.place.brokers != nil {
		err = errors.Join(err, b.kafka.place.remove(ctx, inputName(id, "")))
	}
	return err
}

// once is one run.
func (b *bench) once(ctx context.Context, r *attempt, c sized, want expectation) (f figures, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	if err := r.at(ctx, func(p place) error { return p.create(ctx, false, r.out) }); err != nil {
		return f, err
	}
	w, err := r.start(ctx)
	if err != nil {
		return f, err
	}
	if _, err = w.untilReady(ctx, &f); err == nil {
		err = w.untilRead(ctx, c.reads(c))
	}
	if err != nil {
		return f, errors.Join(err, w.p.kill())
	}
	if err := w.end(&f, c.n, c.reads(c)); err != nil {
		return f, err
	}
	err = r.at(ctx, func(p place) (err error) {
		f.output, err = r.verify(ctx, p, want)
		return err
	})
	return f, errors.Join(err, r.clean(context.WithoutCancel(ctx)))
}
