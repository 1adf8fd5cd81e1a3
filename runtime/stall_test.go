package runtime_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/pebblestore"
)

// slowDisk is a file system that, from when it is told to, does not get on with writing tables until it is told to.
type slowDisk struct {
	vfs.FS
	held    atomic.Bool // from now on
	waits   atomic.Bool // something does
	release chan struct{}
	once    sync.Once
}

func newSlowDisk() *slowDisk {
	d := &slowDisk{release: make(chan struct{})}
	d.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if d.held.Load() && op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			d.waits.Store(true)
			<-d.release
		}
		return nil
	}))
	return d
}

func (d *slowDisk) letGo() { d.once.Do(func() { close(d.release) }) }

// heartbeats counts the heartbeats that go over connections.
type heartbeats struct{ n atomic.Int64 }

const heartbeatKey = 12

type heartConn struct {
	net.Conn
	to *heartbeats
}

// Write sees whole requests: length (4), key (2), and more.
func (c heartConn) Write(b []byte) (int, error) {
	if len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == heartbeatKey {
		c.to.n.Add(1)
	}
	return c.Conn.Write(b)
}

// over counts those over the connections that dial makes, or a dialer of its own if that is nil.
func (h *heartbeats) over(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return heartConn{c, h}, nil
	}
}

// TestWriteStall: a disk that does not get on with writing holds commits back, and with them the reading. The instance stays a member, no
// transaction is lost, and all goes on when the disk does.
func TestWriteStall(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	written := 0
	write := func() {
		list := make([]record, 5_000)
		for i := range list {
			list[i] = record{key: fmt.Sprintf("%064d", written+i), value: "v"}
		}
		l.write(t, in, list)
		written += len(list)
	}
	write()

	disk, hearts := newSlowDisk(), &heartbeats{}
	counted := *l
	counted.dial = hearts.over(l.dial)
	var running, rebalanced atomic.Bool
	r := counted.start(t, fragile(t, in, out, never), runtime.WithState(runtime.Config{
		ApplicationID: app, StateDir: t.TempDir(), Workers: 1, CommitInterval: 5 * time.Millisecond, InputBytes: 1 << 20,
		SessionTimeout: 30 * time.Second,
		Engine: func(dir string) (state.Engine, error) {
			disk.held.Store(true)
			return pebblestore.Open(dir, pebblestore.Options{FS: disk, MemTableBytes: 64 << 10, Logger: quiet()})
		},
		Listener: func(c runtime.StateChange) {
			rebalanced.Store(rebalanced.Load() || running.Load() && c.To == runtime.Rebalancing)
			running.Store(running.Load() || c.To == runtime.Running)
		},
	}, func(c *state.Config) { c.ApplyBytes, c.ApplyIdle = 16<<10, time.Millisecond }))

	t.Cleanup(disk.letGo) // before the application is stopped
	eventually(t, 2*time.Minute, "commits stand still over three heartbeats, though there is something to commit", func() bool {
		before, beats := l.committed(t, app, in)[0], hearts.n.Load()
		if before == int64(written) { // memory has room for it
			write()
			return false
		}
		eventually(t, time.Minute, "three heartbeats", func() bool { return hearts.n.Load() >= beats+3 })
		return l.committed(t, app, in)[0] == before
	})
	if !disk.waits.Load() {
		t.Error("commits stand still, but the disk holds nothing back")
	}
	disk.letGo()
	eventually(t, time.Minute, "all is processed", func() bool { return l.drained(t, app, in) })
	if aborts := r.Stats().Aborts; aborts > 0 || rebalanced.Load() {
		t.Errorf("%d transactions aborted; rebalanced: %v", aborts, rebalanced.Load())
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(l.read(t, out)); n != written {
		t.Errorf("%d records came out, want %d", n, written)
	}
}
