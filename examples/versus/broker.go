package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
)

// brokerSide is a log that is measured by itself, by one client.
type brokerSide struct {
	id, name string
	kafka    bool
	inside   bool // in this process
	synced   bool // on disk before it is acknowledged
}

func brokerSides() []brokerSide {
	return []brokerSide{
		{id: "inside", name: "Millrace, in process, synced", inside: true, synced: true},
		{id: "inside-async", name: "Millrace, in process", inside: true},
		{id: "tcp", name: "Millrace, synced", synced: true},
		{id: "tcp-async", name: "Millrace"},
		{id: "kafka", name: "Kafka, synced", kafka: true, synced: true},
		{id: "kafka-async", name: "Kafka", kafka: true},
	}
}

// peer is the side of Kafka's that promises the same.
func (s brokerSide) peer() string {
	if s.synced {
		return "kafka"
	}
	return "kafka-async"
}

// brokerCase is a topic that is written and read, as fast as one client can.
type brokerCase struct {
	id         string
	records    int64 // at full size
	bytes      int   // of a value
	partitions int32
	both       bool // it is written and read at once, too
}

func brokerCases() []brokerCase {
	return []brokerCase{
		{"log-100", 4_000_000, 100, 16, true},
		{"log-1k", 1_000_000, 1000, 16, true},
		{"log-1p", 4_000_000, 100, 1, false},
		{"log-128p", 4_000_000, 100, 128, false},
	}
}

// aim is what the project has set itself, in CPU nanoseconds a record on the broker; 0: nothing.
func (c brokerCase) aim(phase string, s brokerSide) float64 {
	switch {
	case s.kafka || s.inside || c.bytes != 100:
		return 0
	case phase == phaseNames[1]:
		return 30
	case phase == phaseNames[0] && s.synced:
		return 120
	case phase == phaseNames[0]:
		return 80
	}
	return 0
}

// operationsCase is about what happens one at a time.
const operationsCase = "log-ops"

// brokers measures the logs that are asked for.
func (b *bench) brokers(ctx context.Context, wanted map[string]bool, stdout io.Writer) error {
	sides := b.brokerSides()
	t := newBrokerTable(stdout)
	for _, c := range brokerCases() {
		if !wanted[c.id] {
			continue
		}
		c.records = max(int64(float64(c.records)*b.scale/100), 1)
		results := make(map[string]map[string][]phase)
		err := b.eachBroker(ctx, c.id, sides, func(ctx context.Context, s brokerSide, l *openLog) error {
			phases, err := l.writeAndRead(ctx, c)
			for name, p := range phases {
				if results[name] == nil {
					results[name] = make(map[string][]phase)
				}
				results[name][s.id] = append(results[name][s.id], p)
			}
			return err
		})
		if err := errors.Join(err, t.add(c, sides, results)); err != nil {
			return err
		}
	}
	if err := t.end(); err != nil || !wanted[operationsCase] {
		return err
	}
	results := make(map[string][]operations)
	err := b.eachBroker(ctx, operationsCase, sides, func(ctx context.Context, s brokerSide, l *openLog) error {
		o, err := l.operate(ctx, time.Duration(b.seconds)*time.Second/2)
		results[s.id] = append(results[s.id], o)
		return err
	})
	if err != nil {
		return err
	}
	o := newOperationsTable(stdout)
	return errors.Join(o.add(sides, results), o.end())
}

// brokerSides returns Millrace's if an embedded broker is chosen, and Kafka's if a side needs it.
func (b *bench) brokerSides() (chosen []brokerSide) {
	embedded := false
	for _, s := range b.chosen {
		embedded = embedded || s.embedded
	}
	for _, s := range brokerSides() {
		if s.kafka && b.kafka != nil || !s.kafka && embedded {
			chosen = append(chosen, s)
		}
	}
	return chosen
}

// eachBroker opens the log of each side in turn, as many times as it is to be measured.
func (b *bench) eachBroker(ctx context.Context, id string, sides []brokerSide, f func(context.Context, brokerSide, *openLog) error) error {
	for i := range b.count {
		for _, s := range sides {
			b.say("%s: %s, run %d", id, s.name, i+1)
			err := func() (err error) {
				ctx, cancel := context.WithTimeout(ctx, b.timeout)
				defer cancel()
				l, err := b.openLog(ctx, s, id, i)
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, l.close(context.WithoutCancel(ctx))) }()
				return f(ctx, s, l)
			}()
			if err != nil {
				return fmt.Errorf("%s: %s: %w", id, s.name, err)
			}
		}
	}
	return nil
}

// openLog is a log with one topic, in which nobody else writes.
type openLog struct {
	place
	topic    string
	dir      string
	embedded *broker.Broker // in this process, or nil
	child    *process       // Millrace in another one, or nil
	kafka    int            // the process id of Kafka, 0 if there is none to look at
	settings map[string]string
}

// openLog opens the log of a side for a run of a case.
func (b *bench) openLog(ctx context.Context, s brokerSide, id string, run int) (l *openLog, err error) {
	name := fmt.Sprintf("versus-%d-%s-%s-%d", os.Getpid(), id, s.id, run)
	l = &openLog{topic: name + "-t", dir: filepath.Join(b.work, name)}
	switch {
	case s.kafka:
		l.place, l.kafka = b.kafka.place, b.kafka.pid
		if s.synced {
			l.settings = map[string]string{"flush.messages": "1"}
		}
		return l, nil
	case s.inside:
		c := brokerConfig(l.dir)
		if !s.synced {
			c.Durability = broker.Async
		}
		if l.embedded, err = broker.Open(ctx, c); err != nil {
			return nil, err
		}
		l.place = place{brokers: l.embedded.Brokers(), dial: l.embedded.Dial}
		return l, nil
	}
	args := []string{childCommand, "job=" + brokerJob, "dir=" + l.dir}
	if !s.synced {
		args = append(args, "durability=async")
	}
	if b.profile != "" {
		args = append(args, "profile="+filepath.Join(b.profile, id+"-"+s.id+".cpu"))
	}
	if l.child, err = start(ctx, b.self, args...); err != nil {
		return nil, err
	}
	line, err := l.child.next(ctx)
	if err != nil {
		return nil, errors.Join(err, l.child.kill())
	}
	l.place = place{brokers: []string{strings.TrimPrefix(line, "listen ")}}
	return l, nil
}

func (l *openLog) close(ctx context.Context) (err error) {
	switch {
	case l.embedded != nil:
		err = l.embedded.Close(ctx)
	case l.child != nil:
		err = errors.Join(l.child.stdin.Close(), l.child.drain())
	default:
		err = l.remove(ctx, l.topic)
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

// create makes the topic, and returns when it can be written.
func (l *openLog) create(ctx context.Context, partitions int32) error {
	if err := l.createWith(ctx, partitions, l.settings, l.topic); err != nil {
		return err
	}
	cl, err := l.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return err
	}
	defer cl.Close()
	first := make([]*kgo.Record, partitions)
	for i := range first {
		first[i] = &kgo.Record{Topic: l.topic, Partition: int32(i)}
	}
	return cl.ProduceSync(ctx, first...).FirstErr()
}
