package broker_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// TestFailedSync: when the journal cannot be synced nothing is acknowledged any more, what was acknowledged can still be
// read, and the next Open has it.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	inject := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			return errors.New("injected")
		}
		return nil
	})
	mem := vfs.NewCrashableMem()
	cfg := broker.Config{Dir: "data", FS: errorfs.Wrap(mem, inject)}
	opened, err := broker.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &brokertest.Broker{Broker: opened}
	createTopic(t, client(t, b), "t", 1)
	produceRaw(t, b, "t", rawBatch(-1, -1, -1, "kept"))
	broken.Store(true)
	for range 2 {
		resp := ask[*kmsg.ProduceResponse](t, dialRaw(t, b), 12, produceRequest("t", 0, rawBatch(-1, -1, -1, "lost")))
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != kerr.KafkaStorageError.Code {
			t.Errorf("produce: %v", kerr.ErrorForCode(p.ErrorCode))
		}
	}
	<-b.Failed()
	if b.Err() == nil {
		t.Error("no reason")
	}
	r := ask[*kmsg.FetchResponse](t, dialRaw(t, b), 12, fetchRequest("t", 0, 0))
	if p := r.Topics[0].Partitions[0]; p.HighWatermark != 1 || len(p.RecordBatches) == 0 {
		t.Errorf("reading: %+v", p)
	}
	if err := b.Close(t.Context()); err == nil {
		t.Error("Close says nothing")
	}
	broken.Store(false)
	again := brokertest.Start(t, brokertest.Config(func(c *broker.Config) { c.FS, c.Dir = mem.CrashClone(vfs.CrashCloneCfg{}), "data" }))
	if got := consume(t, committedReader(t, again, "t"), 1); got[0] != "kept" {
		t.Errorf("got %q", got)
	}
}
