package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// place is a log that a run reads and writes: the embedded broker's, whose directory it opens for as long as it has something to do
// there, or Kafka's.
type place struct {
	brokers []string
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
}

// client connects.
func (p place) client(opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append(opts, kgo.SeedBrokers(p.brokers...))
	if p.dial != nil {
		opts = append(opts, kgo.Dialer(p.dial))
	}
	return kgo.NewClient(opts...)
}

const partitions = 4

// create makes topics that keep what they are given.
func (p place) create(ctx context.Context, compact bool, topics ...string) error {
	policy := "delete"
	if compact {
		policy = "compact"
	}
	return p.createWith(ctx, partitions, map[string]string{"cleanup.policy": policy}, topics...)
}

// createWith is create, with settings and a number of partitions.
func (p place) createWith(ctx context.Context, partitions int32, settings map[string]string, topics ...string) error {
	cl, err := p.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	forever := "-1"
	all := map[string]*string{"retention.ms": &forever}
	for name, value := range settings {
		all[name] = &value
	}
	made, err := kadm.NewClient(cl).CreateTopics(ctx, partitions, 1, all, topics...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	return nil
}

// settleTime is how long a log may take to know a topic that was made.
const settleTime = 30 * time.Second

// commit commits the beginning of a topic as the positions of a group.
func (p place) commit(ctx context.Context, group, topic string) error {
	cl, err := p.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	at := make(kadm.Offsets)
	for i := range int32(partitions) {
		at.AddOffset(topic, i, 0, -1)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		err := kadm.NewClient(cl).CommitAllOffsets(ctx, group, at)
		if err == nil {
			return nil
		}
		// A topic that was just made is not known to all of Kafka at once.
		if !errors.Is(err, kerr.UnknownTopicOrPartition) || ctx.Err() != nil {
			return fmt.Errorf("commit positions of %s: %w", group, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// remove deletes all topics of one name's beginning.
func (p place) remove(ctx context.Context, prefix string) error {
	cl, err := p.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		return err
	}
	var mine []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, prefix) {
			mine = append(mine, name)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	_, err = adm.DeleteTopics(ctx, mine...)
	return err
}

// write writes an input as one producer, in order, and returns the digest of what it wrote.
func (p place) write(ctx context.Context, in input) (d digest, err error) {
	cl, err := p.client(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(64<<10),
		kgo.ProducerLinger(50*time.Millisecond), kgo.MaxBufferedRecords(200_000))
	if err != nil {
		return d, err
	}
	defer cl.Close()
	done := kgo.AbortingFirstErrPromise(cl)
	for n := range in.records {
		r := in.at(n)
		d.add(r.key, r.value, r.timestamp)
		cl.Produce(ctx, &kgo.Record{Topic: in.topic, Key: r.key, Value: r.value, Timestamp: time.UnixMilli(r.timestamp)}, done.Promise())
	}
	if err := errors.Join(cl.Flush(ctx), done.Err()); err != nil {
		return d, fmt.Errorf("write %s: %w", in.topic, err)
	}
	return d, nil
}

// ends returns where a topic ends, when no transaction is open in it any more: Kafka answers the end of one before its markers are written.
func (p place) ends(ctx context.Context, topic string) (kadm.ListedOffsets, error) {
	cl, err := p.client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		committed, err1 := adm.ListCommittedOffsets(ctx, topic)
		all, err2 := adm.ListEndOffsets(ctx, topic)
		if err := errors.Join(err1, err2, committed.Error(), all.Error()); err != nil {
			return nil, fmt.Errorf("ends of %s: %w", topic, err)
		}
		settled := true
		all.Each(func(o kadm.ListedOffset) {
			c, _ := committed.Lookup(topic, o.Partition)
			settled = settled && c.Offset == o.Offset
		})
		if settled {
			return committed, nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("ends of %s, in which a transaction stays open: %w", topic, context.Cause(ctx))
		}
	}
}

// read calls f with every committed record of a topic, partition by partition in order. Nobody writes to it any more.
func (p place) read(ctx context.Context, topic string, f func(*kgo.Record)) error {
	ends, err := p.ends(ctx, topic)
	if err != nil {
		return err
	}
	from, left := map[int32]kgo.Offset{}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition], left[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	if len(from) == 0 {
		return nil
	}
	cl, err := p.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords()) // the last offset may be a marker's
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := errors.Join(fetches.Err(), ctx.Err()); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := left[r.Partition]; ok && r.Offset >= end-1 {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				f(r)
			}
		})
	}
	return nil
}

// digest is of a set of records, in any order: each may be in it several times. Two are equal if their sets are.
type digest struct {
	n   int64
	sum [2]uint64
}

func (d *digest) add(key, value []byte, timestamp int64) {
	var buf [256]byte
	b := binary.BigEndian.AppendUint32(buf[:0], uint32(len(key)))
	b = append(append(b, key...), value...)
	h := sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(timestamp)))
	d.n++
	d.sum[0] += binary.BigEndian.Uint64(h[:])
	d.sum[1] += binary.BigEndian.Uint64(h[8:])
}

// load makes the topic of an input, writes it, and reads it back: every log holds the same.
func (p place) load(ctx context.Context, in input) error {
	if err := p.create(ctx, in.compact, in.topic); err != nil {
		return err
	}
	want, err := p.write(ctx, in)
	if err != nil {
		return err
	}
	return p.check(ctx, in.topic, want)
}

// check reads a topic, and compares what is there with what should be.
func (p place) check(ctx context.Context, topic string, want digest) error {
	var got digest
	err := p.read(ctx, topic, func(r *kgo.Record) { got.add(r.Key, r.Value, r.Timestamp.UnixMilli()) })
	if err == nil && got != want {
		err = fmt.Errorf("%s has %d records with SHA-256 sums %x, want %d with %x", topic, got.n, got.sum, want.n, want.sum)
	}
	return err
}
