package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// usage is what a log and its client have used so far.
type usage struct {
	at             time.Time
	client, broker time.Duration
	deeds
}

// used samples. A broker in this process cannot be told from its client.
func (l *openLog) used(ctx context.Context) (u usage, err error) {
	if u.client, err = cpuTime(os.Getpid()); err != nil {
		return u, err
	}
	switch {
	case l.child != nil:
		if u.broker, err = cpuTime(l.child.cmd.Process.Pid); err != nil {
			return u, err
		}
		if _, err := fmt.Fprintln(l.child.stdin); err != nil {
			return u, err
		}
		line, err := l.child.next(ctx)
		if err != nil {
			return u, err
		}
		if _, err := fmt.Sscanf(line, deedsFormat, &u.mallocs, &u.requests, &u.entries, &u.syncs); err != nil {
			return u, fmt.Errorf("the broker's process says %q: %w", line, err)
		}
	case l.kafka != 0:
		if u.broker, err = cpuTime(l.kafka); err != nil {
			return u, err
		}
	}
	u.at = time.Now()
	return u, nil
}

// phase is what something took that was done with n records. Where nothing is known it has 0.
type phase struct {
	n               int64
	took            time.Duration
	client, broker  time.Duration // processor time
	allocs, perSync float64       // allocations of the broker a request, requests of the journal a sync
}

func (p *phase) rate() float64 { return float64(p.n) / p.took.Seconds() }

// during measures what do takes.
func (l *openLog) during(ctx context.Context, n int64, do func() error) (p phase, err error) {
	before, err := l.used(ctx)
	if err != nil {
		return p, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return p, err
	}
	p.n, p.took = n, time.Since(began)
	after, err := l.used(ctx)
	if err != nil {
		return p, err
	}
	p.client, p.broker = after.client-before.client, after.broker-before.broker
	p.allocs = ratio(after.mallocs-before.mallocs, after.requests-before.requests)
	p.perSync = ratio(after.entries-before.entries, after.syncs-before.syncs)
	return p, nil
}

func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// names of phases, in order.
var phaseNames = []string{"write", "read", "write and read"}

// writeAndRead writes the topic, reads it, and then does both at once.
func (l *openLog) writeAndRead(ctx context.Context, c brokerCase) (map[string]phase, error) {
	if err := l.create(ctx, c.partitions); err != nil {
		return nil, err
	}
	phases := make(map[string]phase)
	write := func() error { return l.write(ctx, c) }
	p, err := l.during(ctx, c.records, write)
	if err != nil {
		return nil, err
	}
	phases[phaseNames[0]] = p
	if p, err = l.during(ctx, c.records, func() error { return l.read(ctx, c, c.records) }); err != nil {
		return nil, err
	}
	phases[phaseNames[1]] = p
	if !c.both {
		return phases, nil
	}
	p, err = l.during(ctx, c.records, func() error {
		written := make(chan error, 1)
		go func() { written <- write() }() // waited for
		return errors.Join(l.read(ctx, c, 2*c.records), <-written)
	})
	if err != nil {
		return nil, err
	}
	phases[phaseNames[2]] = p
	return phases, nil
}

// write writes the records of a case as one idempotent producer does whose batches and patience are Kafka's tools' when they are to be fast.
func (l *openLog) write(ctx context.Context, c brokerCase) error {
	cl, err := l.client(kgo.DefaultProduceTopic(l.topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(128<<10),
		kgo.ProducerLinger(10*time.Millisecond), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return err
	}
	defer cl.Close()
	done := kgo.AbortingFirstErrPromise(cl)
	values := make([][]byte, 64) // nothing is compressed: few will do
	for i := range values {
		for n := int64(i); len(values[i]) < c.bytes; n += int64(len(values)) {
			values[i] = appendValue(values[i], streamSeed, n)
		}
		values[i] = values[i][:c.bytes]
	}
	for n := range c.records {
		cl.Produce(ctx, &kgo.Record{Value: values[n%int64(len(values))]}, done.Promise())
	}
	if err := errors.Join(cl.Flush(ctx), done.Err()); err != nil {
		return fmt.Errorf("write %s: %w", l.topic, err)
	}
	return nil
}

// read reads so many records of a case from the start. They must be whole.
func (l *openLog) read(ctx context.Context, c brokerCase, records int64) error {
	from := make(map[int32]kgo.Offset)
	for i := range c.partitions {
		from[i] = kgo.NewOffset().At(1) // the first was to see whether the partition can be written
	}
	cl, err := l.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: from}))
	if err != nil {
		return err
	}
	defer cl.Close()
	for records > 0 {
		fetches := cl.PollFetches(ctx)
		if err := errors.Join(fetches.Err(), ctx.Err()); err != nil {
			return fmt.Errorf("read %s: %w", l.topic, err)
		}
		for it := fetches.RecordIter(); !it.Done(); records-- {
			if r := it.Next(); len(r.Value) != c.bytes {
				return fmt.Errorf("read %s: record %d of partition %d has %d bytes, want %d", l.topic, r.Offset, r.Partition, len(r.Value), c.bytes)
			}
		}
	}
	if records < 0 {
		return fmt.Errorf("read %s: %d records more than were written", l.topic, -records)
	}
	return nil
}

// operations is how long things take that wait for each other, and what a broker uses: for each of them, and when it has nothing to do.
type operations struct {
	p50, p99, perRecord    time.Duration // of a record, until it is acknowledged
	txnP50, txnP99, perTxn time.Duration // of a transaction of some records, from its begin
	idle                   float64       // cores
	brokerSeen             bool
}

const recordsInTransaction = 100

// operate spends that much time on each operation.
func (l *openLog) operate(ctx context.Context, long time.Duration) (o operations, err error) {
	if err := l.create(ctx, 4); err != nil {
		return o, err
	}
	o.brokerSeen = l.child != nil || l.kafka != 0
	if err := l.singles(ctx, long, &o); err != nil {
		return o, fmt.Errorf("write one record after the other: %w", err)
	}
	if err := l.transactions(ctx, long, &o); err != nil {
		return o, fmt.Errorf("one transaction after the other: %w", err)
	}
	p, err := l.during(ctx, 0, func() error {
		idle, cancel := context.WithTimeout(ctx, long)
		defer cancel()
		<-idle.Done()
		return context.Cause(ctx)
	})
	o.idle = p.broker.Seconds() / long.Seconds()
	return o, err
}

// singles writes a record, waits until it is acknowledged, and writes the next one.
func (l *openLog) singles(ctx context.Context, long time.Duration, o *operations) error {
	cl, err := l.client(kgo.DefaultProduceTopic(l.topic), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	value := appendValue(nil, streamSeed, 0)
	took, p, err := l.repeat(ctx, long, func() error { return cl.ProduceSync(ctx, &kgo.Record{Value: value}).FirstErr() })
	if err != nil {
		return err
	}
	o.p50, o.p99, o.perRecord = percentile(took, 0.5), percentile(took, 0.99), p.broker/time.Duration(p.n)
	return nil
}

// transactions commits some records, and then the next ones.
func (l *openLog) transactions(ctx context.Context, long time.Duration, o *operations) error {
	cl, err := l.client(kgo.DefaultProduceTopic(l.topic), kgo.TransactionalID(l.topic), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	value := appendValue(nil, streamSeed, 0)
	took, p, err := l.repeat(ctx, long, func() error {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		done := kgo.AbortingFirstErrPromise(cl)
		for range recordsInTransaction {
			cl.Produce(ctx, &kgo.Record{Value: value}, done.Promise())
		}
		return errors.Join(cl.Flush(ctx), done.Err(), cl.EndTransaction(ctx, kgo.TryCommit))
	})
	if err != nil {
		return err
	}
	o.txnP50, o.txnP99, o.perTxn = percentile(took, 0.5), percentile(took, 0.99), p.broker/time.Duration(p.n)
	return nil
}

// repeat does the same again and again for some time, after a tenth of it that does not count.
func (l *openLog) repeat(ctx context.Context, long time.Duration, do func() error) (took []time.Duration, p phase, err error) {
	for end := time.Now().Add(long / 10); time.Now().Before(end); {
		if err := do(); err != nil {
			return nil, p, err
		}
	}
	p, err = l.during(ctx, 0, func() error {
		for end := time.Now().Add(long); time.Now().Before(end); {
			began := time.Now()
			if err := do(); err != nil {
				return err
			}
			took = append(took, time.Since(began))
		}
		return nil
	})
	slices.Sort(took)
	p.n = cmp.Or(int64(len(took)), 1)
	return took, p, err
}

// percentile returns what a share of sorted durations is within.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
