package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// bench has what all runs share.
type bench struct {
	options
	chosen []side
	work   string // directory of everything, which is removed
	self   string // the program that a child of ours runs
	kafka  *kafka // nil: not asked for
	java   *java  // nil: not asked for
	log    io.Writer
}

// open starts Kafka and compiles Kafka Streams' program, if a side needs them.
func open(ctx context.Context, o options, chosen []side, log io.Writer) (b *bench, err error) {
	b = &bench{options: o, chosen: chosen, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close(context.WithoutCancel(ctx)))
		}
	}()
	if o.dir != "" {
		if err := os.MkdirAll(o.dir, 0o755); err != nil {
			return b, err
		}
	}
	if b.work, err = os.MkdirTemp(o.dir, "versus-"); err != nil {
		return b, err
	}
	if b.work, err = filepath.Abs(b.work); err != nil {
		return b, err
	}
	if b.self, err = os.Executable(); err != nil {
		return b, err
	}
	if !slices.ContainsFunc(chosen, func(s side) bool { return !s.embedded }) {
		return b, nil
	}
	root, err := moduleRoot()
	if err != nil {
		return b, err
	}
	if slices.ContainsFunc(chosen, func(s side) bool { return s.streams }) {
		b.say("compiling Kafka Streams' side")
		if b.java, err = compileJava(ctx, root, filepath.Join(b.work, "classes")); err != nil {
			return b, err
		}
	}
	if o.brokers != "" {
		b.kafka = &kafka{place: place{brokers: strings.Split(o.brokers, ",")}}
		return b, nil
	}
	b.say("starting Kafka")
	b.kafka, err = startKafka(ctx, root, filepath.Join(b.work, "kafka"))
	return b, err
}

func (b *bench) close(ctx context.Context) (err error) {
	if b.kafka != nil {
		err = b.kafka.stop(ctx)
	}
	return errors.Join(err, os.RemoveAll(b.work))
}

// say tells what is going on. That nobody can be told is no reason to stop.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.log, format+"\n", args...)
}

// attempt is one job on one side.
type attempt struct {
	b    *bench
	side side
	dir  string // of state, and of the embedded broker's log
	app  string
	job  string
	names
}

func (b *bench) newAttempt(s side, dir, job, id string, count int) *attempt {
	r := &attempt{b: b, side: s, dir: filepath.Join(dir, s.id), job: job}
	r.app = fmt.Sprintf("versus-%d-%s-%s-%d", os.Getpid(), id, s.id, count)
	r.names = names{in: inputName(id, "in"), other: inputName(id, "other"), out: r.app + "-out"}
	return r
}

// inputName is a topic that several runs read.
func inputName(id, what string) string { return fmt.Sprintf("versus-%d-%s-%s", os.Getpid(), id, what) }

// at gives the run's log to f: the embedded broker is opened for that, while no child has it.
func (r *attempt) at(ctx context.Context, f func(place) error) (err error) {
	if !r.side.embedded {
		return f(r.b.kafka.place)
	}
	e, err := openEmbedded(ctx, r.dir, false)
	if err != nil {
		return err
	}
	return errors.Join(f(place{brokers: e.Brokers(), dial: e.Dial}), e.Close(context.WithoutCancel(ctx)))
}

// pid is the process of the broker that is not in the application's, 0 if none can be looked at.
func (r *attempt) pid() int {
	if r.side.embedded {
		return 0
	}
	return r.b.kafka.pid
}

// start starts the application.
func (r *attempt) start(ctx context.Context, more ...string) (*watch, error) {
	args := append([]string{
		"job=" + r.job, "in=" + r.in, "other=" + r.other, "out=" + r.out, "app=" + r.app, "dir=" + r.dir,
		"threads=" + strconv.Itoa(r.b.threads), "commit=" + strconv.FormatInt(r.b.commit.Milliseconds(), 10), "guarantee=" + r.b.guarantee,
	}, more...)
	name := r.b.self
	if !r.side.embedded {
		args = append(args, "brokers="+strings.Join(r.b.kafka.place.brokers, ","))
	}
	if r.side.streams {
		name, args = tool("java"), append(r.b.java.args(strings.Fields(r.b.javaFlags)), args...)
	} else {
		args = append([]string{childCommand}, args...)
		if r.b.profile != "" {
			args = append(args, "profile="+filepath.Join(r.b.profile, r.job+"-"+r.side.id+".cpu"))
		}
	}
	w := &watch{kafka: r.pid()}
	if w.kafka != 0 {
		used, err := cpuTime(w.kafka)
		if err != nil {
			return nil, err
		}
		w.begin.broker = used
	}
	p, err := start(ctx, name, args...)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", r.side.name, err)
	}
	w.p = p
	return w, nil
}

// verify reads the output, and compares it with what it must be.
func (r *attempt) verify(ctx context.Context, p place, want expectation) (records int64, err error) {
	want.forget()
	err = p.read(ctx, r.out, func(rec *kgo.Record) {
		records++
		want.see(rec)
	})
	if err == nil {
		err = want.check()
	}
	if err != nil {
		err = fmt.Errorf("output of %s: %w", r.side.name, err)
	}
	return records, err
}

// clean removes what the run left, but not the inputs.
func (r *attempt) clean(ctx context.Context) error {
	err := os.RemoveAll(filepath.Join(r.dir, "state"))
	if r.side.embedded {
		return err
	}
	return errors.Join(err, r.b.kafka.place.remove(ctx, r.app+"-"))
}
