package commitlog

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/broker/internal/journal"
)

// LSN numbers journal entries from 1. Zero is before every entry, and always durable.
type LSN = journal.LSN

// Durability says when an entry counts as durable.
type Durability uint8

const (
	// Sync: after the journal has been synced.
	Sync Durability = iota
	// Async: after the journal has been written. A crash of the machine may lose the last entries, never some in the middle.
	Async
)

// Config says how a Log runs. The zero value of each field but FS and Dir is its documented default.
type Config struct {
	// FS holds Dir. Required.
	FS vfs.FS
	// Dir is the data directory. It is created if missing. Required.
	Dir string
	// Durability is Sync by default.
	Durability Durability
	// SegmentBytes is the size at which a partition's segment is full (segment.bytes), 4 KiB to 1 GiB. Default: 128 MiB.
	SegmentBytes int64
	// TailBytes bounds the batches kept in memory over all partitions, at least 64 KiB. Default: 32 MiB. Twice that is the
	// most that appends can pile up before they wait for the segment writer.
	TailBytes int64
	// CheckpointBytes is the journal size that starts a checkpoint, at least 64 KiB. Default: 64 MiB. The journal takes about
	// twice that on disk, and recovery reads at most about that much.
	CheckpointBytes int64
	// RetentionInterval is how often it is looked for records that are older, or more, than topics keep
	// (log.retention.check.interval.ms), and for idle producers, at least 1 ms. Default: 5 min.
	RetentionInterval time.Duration
	// CompactionInterval is how often it is looked for topics to compact (log.cleaner.backoff.ms), at least 1 ms. Default: 15 s.
	CompactionInterval time.Duration
	// CompactionBytes bounds the table of keys of a compaction (log.cleaner.dedupe.buffer.size), at least 48: 24 bytes each, three
	// quarters of them usable. More keys take more rounds. Default: 32 MiB.
	CompactionBytes int
	// ReserveBytes is how much disk space is kept free: with less, appends are refused with ErrFull until there is more, and everything
	// else goes on. On a small disk it is at most a twentieth of its size; -1: none. Default: 256 MiB.
	ReserveBytes int64
	// ProducerExpiry is how long an idle producer without an open transaction is remembered (producer.id.expiration.ms).
	// Default: 24 h.
	ProducerExpiry time.Duration
	// Now is the wall clock, for LogAppendTime and expiry. Default: time.Now.
	Now func() time.Time
	// Logger receives recovery, checkpoints and faults. Default: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = 128 << 20
	}
	if c.TailBytes == 0 {
		c.TailBytes = 32 << 20
	}
	if c.CheckpointBytes == 0 {
		c.CheckpointBytes = 64 << 20
	}
	if c.RetentionInterval == 0 {
		c.RetentionInterval = 5 * time.Minute
	}
	if c.CompactionInterval == 0 {
		c.CompactionInterval = 15 * time.Second
	}
	if c.CompactionBytes == 0 {
		c.CompactionBytes = 32 << 20
	}
	if c.ReserveBytes == 0 {
		c.ReserveBytes = 256 << 20
	}
	if c.ProducerExpiry == 0 {
		c.ProducerExpiry = 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if c.FS == nil {
		errs = append(errs, errors.New("field FS is nil"))
	}
	if c.Dir == "" {
		errs = append(errs, errors.New("field Dir is empty"))
	}
	if c.Durability > Async {
		errs = append(errs, fmt.Errorf("field Durability: %d is neither Sync nor Async", c.Durability))
	}
	if c.SegmentBytes < 4<<10 || c.SegmentBytes > 1<<30 {
		errs = append(errs, fmt.Errorf("field SegmentBytes: %d is not in 4 KiB..1 GiB", c.SegmentBytes))
	}
	if c.TailBytes < 64<<10 {
		errs = append(errs, fmt.Errorf("field TailBytes: %d is below 64 KiB", c.TailBytes))
	}
	if c.CheckpointBytes < 64<<10 {
		errs = append(errs, fmt.Errorf("field CheckpointBytes: %d is below 64 KiB", c.CheckpointBytes))
	}
	if c.RetentionInterval < time.Millisecond {
		errs = append(errs, fmt.Errorf("field RetentionInterval: %v is below 1 ms", c.RetentionInterval))
	}
	if c.CompactionInterval < time.Millisecond {
		errs = append(errs, fmt.Errorf("field CompactionInterval: %v is below 1 ms", c.CompactionInterval))
	}
	if c.CompactionBytes < 48 {
		errs = append(errs, fmt.Errorf("field CompactionBytes: %d is below 48", c.CompactionBytes))
	}
	if c.ReserveBytes < -1 {
		errs = append(errs, fmt.Errorf("field ReserveBytes: %d is below -1", c.ReserveBytes))
	}
	if c.ProducerExpiry < 0 {
		errs = append(errs, fmt.Errorf("field ProducerExpiry: %v is negative", c.ProducerExpiry))
	}
	return errors.Join(errs...)
}
