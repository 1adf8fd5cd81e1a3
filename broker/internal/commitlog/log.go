package commitlog

import "context"

// Log is one open data directory.
type Log struct{}

// Open opens or creates the data directory and recovers what it holds: the snapshot, then the journal, applied by the same code
// that runs live. machines must have every id that the directory knows; each is empty, and replayed into. ctx bounds the
// recovery only.
//
// Open returns an error that wraps ErrLocked if the directory is in use, and a *CorruptionError if acknowledged data is damaged.
func Open(ctx context.Context, cfg Config, machines map[MachineID]Machine) (*Log, error) {
	return nil, ErrClosed
}

// Close waits for what is enqueued, writes a checkpoint and gives the directory back. The error, if any, is of the last
// checkpoint or an earlier failed write: the directory can be opened again in any case. Calls after the first return the same.
func (l *Log) Close() error { return nil }

// ClusterID returns the id that the directory got when it was created, in Kafka's form: 22 characters.
func (l *Log) ClusterID() string { return "" }

// Wait returns when the entry is durable. It returns ctx's error, or one that wraps ErrStopped if the entry will never be
// durable, or ErrClosed.
func (l *Log) Wait(ctx context.Context, lsn LSN) error { return ErrClosed }

// Durable returns the LSN up to which entries are durable.
func (l *Log) Durable() LSN { return 0 }

// Enqueued returns the LSN of the last entry that was applied. Whoever has read a machine's state, and tells, waits for
// the Enqueued that followed the reading.
func (l *Log) Enqueued() LSN { return 0 }

// Stopped is closed when a write or sync has failed, and no write is accepted any more; Err says why.
func (l *Log) Stopped() <-chan struct{} { return nil }

// Err returns why writes have stopped, or nil.
func (l *Log) Err() error { return nil }
