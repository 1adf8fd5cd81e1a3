package broker_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// backupLoad writes to a broker until it is stopped: numbers to a topic by themselves, and numbers in transactions, to every partition of
// another one, with the number as the group's offset. What is counted here was acknowledged.
type backupLoad struct {
	alone, together atomic.Int64
	stopped         chan struct{}
	wg              sync.WaitGroup
}

const backupPartitions = 4

func startBackupLoad(t *testing.T, b *brokertest.Broker) *backupLoad {
	t.Helper()
	l := &backupLoad{stopped: make(chan struct{})}
	cl := client(t, b)
	createTopic(t, cl, "alone", 1)
	createTopic(t, cl, "together", backupPartitions)
	createTopic(t, cl, "inputs", 1)
	tx := client(t, b, kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	l.run(&l.alone, func(n int64) error {
		return cl.ProduceSync(t.Context(), &kgo.Record{Topic: "alone", Value: strconv.AppendInt(nil, n, 10)}).FirstErr()
	}, t)
	l.run(&l.together, func(n int64) error { return l.transact(t, tx, n) }, t)
	return l
}

// run calls write with 1, 2 … and counts.
func (l *backupLoad) run(count *atomic.Int64, write func(int64) error, t *testing.T) {
	l.wg.Go(func() {
		for {
			select {
			case <-l.stopped:
				return
			default:
			}
			if err := write(count.Load() + 1); err != nil {
				t.Errorf("write %d: %v", count.Load()+1, err)
				return
			}
			count.Add(1)
		}
	})
}

// transact writes n to every partition and as the group's offset, and aborts as much every third time.
func (l *backupLoad) transact(t *testing.T, tx *kgo.Client, n int64) error {
	tries := []kgo.TransactionEndTry{kgo.TryCommit}
	if n%3 == 0 {
		tries = []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit}
	}
	for _, try := range tries {
		if err := tx.BeginTransaction(); err != nil {
			return err
		}
		for p := range int32(backupPartitions) {
			value := strconv.AppendInt(nil, n, 10)
			if !bool(try) {
				value = []byte("aborted")
			}
			if err := tx.ProduceSync(t.Context(), &kgo.Record{Topic: "together", Partition: p, Value: value}).FirstErr(); err != nil {
				return err
			}
		}
		id, epoch, err := tx.ProducerID(t.Context())
		if err != nil {
			return err
		}
		if err := txnCommitOffset(t, tx, "tx", producer{id, epoch}, "g", "", -1, "inputs", n); err != nil {
			return err
		}
		if err := tx.EndTransaction(t.Context(), try); err != nil {
			return err
		}
	}
	return nil
}

func (l *backupLoad) stop() {
	close(l.stopped)
	l.wg.Wait()
}

// TestBackupUnderLoad: a copy made while records and transactions are written holds all that was acknowledged before the call, and
// every transaction whole or not at all.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	load := startBackupLoad(t, b)
	defer func() { load.stop() }()
	for i := range 3 {
		past := load.together.Load()
		eventually(t, "some transactions", func() bool { return load.together.Load() >= past+5 || t.Failed() })
		alone, together := load.alone.Load(), load.together.Load()
		dir := filepath.Join(t.TempDir(), "copies", strconv.Itoa(i))
		if err := b.Backup(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		checkBackup(t, dir, alone, together)
	}
}

func checkBackup(t *testing.T, dir string, alone, together int64) {
	t.Helper()
	b := brokertest.Start(t, brokertest.Config(func(c *broker.Config) { c.Dir = dir }))
	cl := client(t, b)
	adm, ctx := kadm.NewClient(cl), testContext(t)
	endOf := func(topic string, partition int32) int64 {
		ends, err := adm.ListCommittedOffsets(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		o, _ := ends.Lookup(topic, partition)
		return o.Offset
	}
	if n := endOf("alone", 0); n < alone {
		t.Errorf("%d records, but %d were acknowledged", n, alone)
	} else {
		for i, v := range consume(t, committedReader(t, b, "alone"), int(n)) {
			if v != strconv.Itoa(i+1) {
				t.Fatalf("record %d is %q", i, v)
			}
		}
	}
	initProducer(t, cl, "tx", testTimeout) // aborts what was open
	at, err := fetchOffset(t, cl, "g", "inputs")
	if err != nil || at < together {
		t.Fatalf("the group is at %d, %v; %d transactions were acknowledged", at, err, together)
	}
	seen := map[string]int{}
	for _, v := range consume(t, committedReader(t, b, "together"), backupPartitions*int(at)) {
		seen[v]++
	}
	for n := int64(1); n <= at; n++ {
		if seen[strconv.FormatInt(n, 10)] != backupPartitions {
			t.Errorf("transaction %d is in %d partitions", n, seen[strconv.FormatInt(n, 10)])
		}
	}
}

// TestBackupRefuses: what cannot be copied to is refused, and a copy that was given up leaves nothing.
func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	createTopic(t, client(t, b), "t", 1)
	if err := b.Backup(t.Context(), "copy"); err != nil {
		t.Fatal(err)
	}
	if err := b.Backup(t.Context(), "copy"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a copy that is there: %v", err)
	}
	if err := b.Backup(t.Context(), filepath.Join(b.Config.Dir, "topics", "x")); err == nil {
		t.Error("a copy within the data directory")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client(t, b).ProduceSync(testContext(t), numbered("t", 0, 10)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := b.Backup(ctx, "cancelled"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, name := range []string{"cancelled", "cancelled.partial", "copy.partial"} {
		if _, err := b.Config.FS.Stat(name); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	if err := b.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if err := b.Backup(t.Context(), "late"); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
