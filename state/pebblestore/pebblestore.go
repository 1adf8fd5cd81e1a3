// Package pebblestore is the engine on disk, over Pebble.
package pebblestore

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/state"
)

// Options tune an engine. The zero value of a field is its documented default.
type Options struct {
	// FS is the file system. Default: the disk.
	FS vfs.FS
	// CacheBytes is the size of the block cache. Default 32 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one memtable. Default 16 MiB.
	MemTableBytes int64
	// Logger takes Pebble's warnings and errors. Default slog.Default().
	Logger *slog.Logger
}

// Open opens the engine in dir, which is made if need be. It returns a *state.CorruptionError if the directory cannot be
// read as one.
func Open(dir string, o Options) (state.Engine, error) { panic("") }
