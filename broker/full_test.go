package broker_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// fullable is a file system that may say that it is full.
type fullable struct {
	vfs.FS
	full atomic.Bool
}

func (fs *fullable) GetDiskUsage(string) (vfs.DiskUsage, error) {
	if fs.full.Load() {
		return vfs.DiskUsage{TotalBytes: 1 << 40}, nil
	}
	return vfs.DiskUsage{TotalBytes: 1 << 40, AvailBytes: 1 << 39}, nil
}

// TestDiskFull: a producer is told that the disk is full, in time; readers are not; and producing resumes by itself.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	fs := &fullable{FS: vfs.NewMem()}
	b := brokertest.Start(t, brokertest.Config(func(c *broker.Config) { c.FS, c.Dir = fs, "data" }))
	cl := client(t, b)
	createTopic(t, cl, "t", 1)
	c := dialRaw(t, b)
	big := rawBatch(-1, -1, -1, string(make([]byte, 1<<20-100)))
	produce := func() error {
		resp := ask[*kmsg.ProduceResponse](t, c, 12, produceRequest("t", 0, append([]byte(nil), big...)))
		return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	fs.full.Store(true)
	accepted := int64(1)
	for ; accepted < 10 && produce() == nil; accepted++ {
	}
	if accepted > 5 {
		t.Fatalf("%d MiB were taken on a full disk", accepted)
	}
	if err := produce(); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("on a full disk: %v", err)
	}
	consumed := client(t, b)
	if end := offsetEnd(t, consumed, "t"); end != accepted {
		t.Errorf("end %d, want %d", end, accepted)
	}
	fs.full.Store(false)
	eventually(t, "producing resumes", func() bool { return produce() == nil })
	b = b.Restart(t)
	if end := offsetEnd(t, client(t, b), "t"); end != accepted+1 {
		t.Errorf("end after a restart %d, want %d", end, accepted+1)
	}
}
