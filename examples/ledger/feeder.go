package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// feederRole sends the input. Of its drivers, the even ones send record by record, the odd ones in transactions, some of which
// they abort.
type feederRole struct {
	Names    names
	Brokers  []string
	Journal  string
	Seed     uint64
	Accounts int
	Drivers  int
	Rate     int   // records a second, all drivers together
	Base     int64 // event time of the first record
}

// errBroken: a record of a transaction was lost, so it must not be committed.
var errBroken = errors.New("transaction is broken")

// idHeader carries the ID of an input.
const idHeader = "id"

// run sends until ctx ends, and then until all that was sent is decided.
func (r *feederRole) run(ctx context.Context) (err error) {
	j, err := openJournal(r.Journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	var running sync.WaitGroup
	errs := make([]error, r.Drivers)
	for i := range r.Drivers {
		d := &driver{
			role: r, number: i, journal: j,
			pace: time.Second * time.Duration(r.Drivers) / time.Duration(r.Rate),
			work: newWorkload(r.Seed, i, r.Accounts, r.Base, int64(1000*r.Drivers/r.Rate)),
		}
		running.Go(func() { errs[i] = d.run(ctx) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// driver is one sender.
type driver struct {
	role    *feederRole
	number  int
	journal *journal
	pace    time.Duration
	work    *workload
	next    time.Time
}

func (d *driver) run(ctx context.Context) error {
	d.next = time.Now()
	if d.number%2 == 0 {
		return d.single(ctx)
	}
	return d.batches(ctx)
}

func (d *driver) options() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(d.role.Brokers...),
		kgo.DefaultProduceTopic(d.role.Names.transfers()),
		kgo.ProducerLinger(2 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
	}
}

// await waits for the time of the next record; false if ctx has ended.
func (d *driver) await(ctx context.Context) bool {
	d.next = d.next.Add(d.pace)
	if late := time.Since(d.next); late > time.Second {
		d.next = d.next.Add(late) // the log was away: what was missed is not made up for
	}
	t := time.NewTimer(time.Until(d.next))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// single sends record by record, as an idempotent producer.
func (d *driver) single(ctx context.Context) error {
	cl, err := kgo.NewClient(d.options()...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for d.await(ctx) {
		d.send(context.WithoutCancel(ctx), cl, d.work.next("", 0), "", 0, func(error) {})
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return cl.Flush(flush)
}

// send produces an input and writes down what becomes of it, before done is called.
func (d *driver) send(ctx context.Context, cl *kgo.Client, in input, batch string, size int, done func(error)) {
	rec := &kgo.Record{Key: in.Key, Value: in.Value, Headers: []kgo.RecordHeader{{Key: idHeader, Value: []byte(in.ID)}}}
	rec.Timestamp = time.UnixMilli(in.Timestamp)
	for k, v := range in.Headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: k, Value: v})
	}
	d.journal.add(step{Outcome: sent, ID: in.ID, Batch: batch, Size: size, Kind: in.Kind, Digest: digestOf(in.Key, in.Value)})
	cl.Produce(ctx, rec, func(rec *kgo.Record, err error) {
		s := step{Outcome: acked, ID: in.ID, Batch: batch, Partition: rec.Partition, Offset: rec.Offset}
		if err != nil {
			s = step{Outcome: lost, ID: in.ID, Batch: batch, Kind: err.Error()}
			if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord) {
				s.Outcome = refused
			}
		}
		d.journal.add(s)
		done(err)
	})
}

// batches sends in transactions. One whose end is unclear, or that broke off, takes a new client, as after a crash: with the same
// transactional id it settles what the last one left.
func (d *driver) batches(ctx context.Context) error {
	var cl *kgo.Client
	defer func() {
		if cl != nil {
			cl.Close()
		}
	}()
	for n := 0; d.await(ctx); n++ {
		if cl == nil {
			var err error
			cl, err = kgo.NewClient(append(d.options(),
				kgo.TransactionalID(fmt.Sprintf("%sfeeder-%d", d.role.Names.Prefix, d.number)),
				kgo.TransactionTimeout(5*time.Second))...)
			if err != nil {
				return err
			}
		}
		if !d.batch(ctx, cl, fmt.Sprintf("%s/batch-%d", d.work.driver, n)) {
			cl.Close()
			cl = nil
		}
	}
	return nil
}

// batch makes one transaction, and reports whether the client may be used for another.
func (d *driver) batch(ctx context.Context, cl *kgo.Client, name string) (clear bool) {
	// A batch that has begun is ended whether ctx ends or not.
	tctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	size := 1 + d.work.rng.IntN(8)
	keep := d.work.rng.IntN(5) > 0
	if err := cl.BeginTransaction(); err != nil {
		return false
	}
	var failed atomic.Bool
	for i := range size {
		if i > 0 {
			d.await(ctx)
		}
		d.send(tctx, cl, d.work.next(name, size), name, size, func(err error) {
			if err != nil {
				failed.Store(true)
			}
		})
	}
	end := step{Outcome: unclear, Batch: name, Size: size}
	err := cl.Flush(tctx)
	if err == nil && failed.Load() {
		err = errBroken
	}
	if err == nil {
		err = cl.EndTransaction(tctx, kgo.TransactionEndTry(keep))
	}
	if err == nil {
		end.Outcome = aborted
		if keep {
			end.Outcome = committed
		}
	}
	d.journal.add(end)
	return err == nil
}
