package broker_test

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// golden names a data directory to write instead of reading those that are there: -golden=NAME, once per version of a format,
// with the code that introduces the version.
var golden = flag.String("golden", "", "write testdata/golden/NAME, as this version would leave it")

// goldenClock stands still, so that nothing in the directories expires.
func goldenClock() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }

// TestGoldenDirectories opens data directories that earlier versions left behind, killed, and finds everything again. It opens
// each twice, so that what this version writes is read too.
func TestGoldenDirectories(t *testing.T) {
	t.Parallel()
	if *golden != "" {
		writeGolden(t, filepath.Join("testdata", "golden", *golden))
	}
	dirs, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no golden directories: %v", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t, brokertest.Config(func(c *broker.Config) {
				c.Dir, c.Now = t.TempDir(), goldenClock
				copyDir(t, dir, c.Dir)
			}))
			checkGolden(t, b)
			b = b.Restart(t)
			checkGolden(t, b)
			endGolden(t, b)
		})
	}
}

// writeGolden leaves records, deleted ones among them, committed, aborted and open transactions, group offsets, staged ones too,
// and a group, partly in the snapshot and segments, partly in the journal.
func writeGolden(t *testing.T, dir string) {
	data := t.TempDir()
	b := brokertest.Start(t, brokertest.Config(func(c *broker.Config) { c.Dir, c.Now = data, goldenClock }))
	b = fillGolden(t, b, 0)
	b = fillGolden(t, b.Restart(t), 1)
	cl := client(t, b)
	init := initProducer(t, cl, "open", 15*time.Minute)
	if err := txnCommitOffset(t, cl, "open", producer{init.ProducerID, init.ProducerEpoch}, "g", "", -1, "t", 50); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	copyDir(t, data, dir) // the broker is killed, as it were
	files, err := filepath.Glob(filepath.Join(dir, "journal", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files { // what was reserved and never written
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, bytes.TrimRight(raw, "\x00"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// fillGolden writes the half of everything with that number.
func fillGolden(t *testing.T, b *brokertest.Broker, half int) *brokertest.Broker {
	cl, ctx := client(t, b), testContext(t)
	adm := kadm.NewClient(cl)
	if half == 0 {
		createTopic(t, cl, "t", 3)
		createTopic(t, cl, "deleted", 1)
	}
	if err := cl.ProduceSync(ctx, numbered("t", 150*half, 150*half+150)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	at := int64(41 + half)
	offsets := make(kadm.Offsets)
	offsets.Add(kadm.Offset{Topic: "t", Partition: 0, At: at, LeaderEpoch: 0, Metadata: "forty-two"})
	if err := adm.CommitAllOffsets(ctx, "g", offsets); err != nil {
		t.Fatal(err)
	}
	transact(t, client(t, b, kgo.TransactionalID("ended")), kgo.TryCommit, numbered("t", 300+10*half, 310+10*half)...)
	transact(t, client(t, b, kgo.TransactionalID("aborted")), kgo.TryAbort, numbered("t", 1000, 1010)...)
	if err := cl.ProduceSync(ctx, numbered("deleted", 10*half, 10*half+10)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cut := make(kadm.Offsets)
	cut.Add(kadm.Offset{Topic: "deleted", Partition: 0, At: 5 * int64(1+half)})
	if _, err := adm.DeleteRecords(ctx, cut); err != nil {
		t.Fatal(err)
	}
	return b
}

func checkGolden(t *testing.T, b *brokertest.Broker) {
	t.Helper()
	cl := client(t, b)
	adm, ctx := kadm.NewClient(cl), testContext(t)
	consume(t, committedReader(t, b, "t"), 320)
	if starts, err := adm.ListStartOffsets(ctx, "deleted"); err != nil {
		t.Fatal(err)
	} else if o, _ := starts.Lookup("deleted", 0); o.Offset != 10 {
		t.Errorf("log start %+v", o)
	}
	if got, err := adm.FetchOffsets(ctx, "g"); err != nil {
		t.Fatal(err)
	} else if o, ok := got.Lookup("t", 0); !ok || o.At != 42 || o.Metadata != "forty-two" {
		t.Errorf("offset %+v", o)
	}
	if _, err := fetchOffset(t, cl, "g", "t"); !errors.Is(err, kerr.UnstableOffsetCommit) {
		t.Errorf("the open transaction is not open: %v", err)
	}
}

// endGolden ends the open transaction by taking over its transactional id.
func endGolden(t *testing.T, b *brokertest.Broker) {
	t.Helper()
	cl := client(t, b)
	initProducer(t, cl, "open", time.Minute)
	if at, err := fetchOffset(t, cl, "g", "t"); at != 42 || err != nil {
		t.Errorf("after its end: %d, %v", at, err)
	}
}

// copyDir copies a data directory, without its lock.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if d.Name() == "LOCK" {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, raw, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}
