package global

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/topology"
)

// Log is what loading asks of the log. *client.Client implements it.
type Log interface {
	ListOffsets(ctx context.Context, spec client.OffsetSpec, partitions []client.TopicPartition) (map[client.TopicPartition]int64, error)
}

// Fetcher reads the tables' topics, read committed. *client.Fetcher implements it.
type Fetcher interface {
	Add(tp client.TopicPartition, offset int64)
	Ready() <-chan struct{}
	Take(dst []client.Fetched) []client.Fetched
	Close()
}

// Table is one global table.
type Table struct {
	Name       string
	Topic      string
	Partitions int32
	// Take takes one record. decoded says whose failure an error is: the processor's, or the serdes'.
	Take func(from topology.Coordinates, r *topology.Raw) (decoded bool, err error)
}

// Config configures Tables.
type Config struct {
	Log     Log
	Fetcher Fetcher
	Tables  []Table
	// Bad decides about a record that a table could not take: nil goes on without it.
	Bad    func(table string, from topology.Coordinates, r *topology.Raw, decoded bool, err error) error
	Logger *slog.Logger
}

// Tables are the global tables of an instance. Load and Follow are called by one goroutine after the other.
type Tables struct {
	cfg       Config
	byInput   map[client.TopicPartition]*input
	remaining int // partitions that are not at their ends yet
	fetched   []client.Fetched
	records   int64
}

// input is one partition of a table's topic.
type input struct {
	table *Table
	next  int64
	end   int64 // high watermark when loading began
}

// stalled is after how long without progress loading says what it waits for.
const stalled = 5 * time.Second

// New returns tables that are empty.
func New(cfg Config) *Tables {
	return &Tables{cfg: cfg, byInput: make(map[client.TopicPartition]*input)}
}

// Load reads every table to the end of its topic (L1).
func (t *Tables) Load(ctx context.Context) error {
	var all []client.TopicPartition
	for i := range t.cfg.Tables {
		table := &t.cfg.Tables[i]
		for p := range table.Partitions {
			tp := client.TopicPartition{Topic: table.Topic, Partition: p}
			t.byInput[tp] = &input{table: table}
			all = append(all, tp)
		}
	}
	if len(all) == 0 {
		return nil
	}
	starts, err := t.cfg.Log.ListOffsets(ctx, client.LogStart, all)
	if err != nil {
		return fmt.Errorf("load global tables: %w", err)
	}
	ends, err := t.cfg.Log.ListOffsets(ctx, client.HighWatermark, all)
	if err != nil {
		return fmt.Errorf("load global tables: %w", err)
	}
	for _, tp := range all {
		in := t.byInput[tp]
		in.next, in.end = starts[tp], ends[tp]
		if in.next < in.end {
			t.remaining++
		}
		t.cfg.Fetcher.Add(tp, in.next)
	}
	for t.remaining > 0 {
		if err := t.advance(ctx, stalled); err != nil {
			return fmt.Errorf("load global tables: %w", err)
		}
	}
	t.cfg.Logger.Info("global tables are loaded", "tables", len(t.cfg.Tables), "records", t.records)
	return nil
}

// Follow applies what is added to the topics, until ctx ends, which is no error.
func (t *Tables) Follow(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := t.advance(ctx, 0); err != nil && ctx.Err() == nil {
			return fmt.Errorf("follow global tables: %w", err)
		}
	}
	return nil
}

// advance applies what was fetched, or waits for more. After quiet without news it says so in the log, if quiet is not 0.
func (t *Tables) advance(ctx context.Context, quiet time.Duration) error {
	t.fetched = t.cfg.Fetcher.Take(t.fetched[:0])
	if len(t.fetched) == 0 {
		return t.wait(ctx, quiet)
	}
	var failed error
	for i := range t.fetched {
		if err := t.apply(&t.fetched[i]); err != nil && failed == nil {
			failed = err
		}
	}
	clear(t.fetched)
	return failed
}

func (t *Tables) wait(ctx context.Context, quiet time.Duration) error {
	var timer <-chan time.Time
	if quiet > 0 {
		tm := time.NewTimer(quiet)
		defer tm.Stop()
		timer = tm.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.cfg.Fetcher.Ready():
	case <-timer:
		t.cfg.Logger.Warn("loading a global table waits for an open transaction on its topic, which its time-out ends at the latest",
			"partitions", t.remaining)
	}
	return nil
}

// apply takes one answer into its table, in offset order (L2).
func (t *Tables) apply(f *client.Fetched) error {
	in := t.byInput[f.TopicPartition]
	if f.Batch != nil {
		defer f.Batch.Release()
	}
	if f.Err != nil {
		return fmt.Errorf("table %s: read %s-%d: %w", in.table.Name, f.Topic, f.Partition, f.Err)
	}
	if f.Batch == nil {
		return nil
	}
	var raw topology.Raw
	for {
		ok, err := f.Batch.Next(&raw)
		if err != nil {
			return fmt.Errorf("table %s: read %s-%d: %w", in.table.Name, f.Topic, f.Partition, err)
		}
		if !ok {
			break
		}
		t.records++
		from := topology.Coordinates{Topic: f.Topic, Partition: f.Partition, Offset: raw.Offset}
		if decoded, err := in.table.Take(from, &raw); err != nil {
			if err := t.cfg.Bad(in.table.Name, from, &raw, decoded, err); err != nil {
				return err
			}
		}
	}
	behind := in.next < in.end
	in.next = f.Batch.End()
	if behind && in.next >= in.end {
		t.remaining--
	}
	return nil
}
