package brokertest

import (
	"math/rand/v2"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// memory is a file system in memory that can be crashed while it is used. vfs.MemFS alone cannot: ReuseForWrite takes its locks in another order than
// CrashClone, and the two may wait for each other.
type memory struct {
	*vfs.MemFS
	reuse sync.Mutex
}

func newMemory() *memory { return &memory{MemFS: vfs.NewCrashableMem()} }

// ReuseForWrite implements vfs.FS.
func (m *memory) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	m.reuse.Lock()
	defer m.reuse.Unlock()
	return m.MemFS.ReuseForWrite(old, name, c)
}

// crashed returns what a power cut would leave.
func (m *memory) crashed(unsyncedPercent int, seed uint64) *memory {
	m.reuse.Lock()
	defer m.reuse.Unlock()
	return &memory{MemFS: m.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsyncedPercent, RNG: rand.New(rand.NewPCG(seed, seed))})}
}
