package pebblestore_test

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/pebblestore"
	"github.com/millrace-io/millrace/state/statetest"
)

// memory is an engine's directory in a file system in memory.
type memory struct{ fs vfs.FS }

func (m memory) Open() (state.Engine, error) {
	return pebblestore.Open("state", pebblestore.Options{FS: m.fs, MemTableBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler)})
}
func (memory) Lasting() bool { return true }

func TestConformance(t *testing.T) {
	statetest.Run(t, func(testing.TB) statetest.Storage { return memory{vfs.NewMem()} })
}
