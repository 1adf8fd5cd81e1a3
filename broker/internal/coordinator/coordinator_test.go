package coordinator

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/batch"
	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/fields"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// open returns a coordinator on a log with topic "t", and a function that closes both.
func open(t *testing.T, fs vfs.FS) (*Coordinator, commitlog.Topic, func()) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	c := New(time.Now, group.Config{}, logger)
	log, err := commitlog.Open(t.Context(), commitlog.Config{FS: fs, Dir: "d", Logger: logger}, c.Machines())
	if err != nil {
		t.Fatal(err)
	}
	topic, ok := log.Topic("t")
	if !ok {
		if topic, _, err = log.CreateTopic(commitlog.TopicSpec{Name: "t", Partitions: 2}); err != nil {
			t.Fatal(err)
		}
	}
	c.Start(log)
	return c, topic, func() {
		c.Close()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}
}

func joinRequest(id string) group.JoinRequest {
	return group.JoinRequest{
		Group: "g", NewMemberID: id, SessionTimeout: 10 * time.Second, RebalanceTimeout: time.Minute,
		ProtocolType: "consumer", Protocols: []group.Protocol{{Name: "range"}},
	}
}

func beginTransaction(t *testing.T, c *Coordinator, topic commitlog.Topic) txn.Producer {
	t.Helper()
	id := "tx"
	p, kerror, _, err := c.InitProducer(txn.InitRequest{TransactionalID: &id, Timeout: 10 * time.Second, Producer: txn.Producer{ID: -1, Epoch: -1}})
	if kerror != nil || err != nil {
		t.Fatal(kerror, err)
	}
	results, kerror, lsn, err := c.StageOffsets(id, p, true, group.CommitRequest{
		Group: "h", Generation: -1, Offsets: []group.Offset{{Partition: group.Partition{Topic: topic.ID}, At: 5}},
	})
	if kerror != nil || err != nil || results[0] != nil {
		t.Fatal(results, kerror, err)
	}
	if err := c.Wait(t.Context(), lsn); err != nil {
		t.Fatal(err)
	}
	return p
}

func offset(c *Coordinator, topic commitlog.Topic) (int64, *kerr.Error) {
	f, _ := c.FetchOffsets("h", []group.Partition{{Topic: topic.ID}}, true)
	return f[0].At, f[0].Err
}

// TestTimersRun: members expire and transactions time out when their time has come, and not before.
func TestTimersRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, topic, done := open(t, vfs.NewMem())
		defer done()
		if r, err := c.Join(joinRequest("m")).Await(t.Context()); err != nil || r.Join.Err != nil {
			t.Fatal(r, err)
		}
		beat := group.HeartbeatRequest{Group: "g", MemberID: "m", Generation: 1}
		for range 3 {
			time.Sleep(9 * time.Second)
			if err, _, _ := c.Heartbeat(beat); err != nil {
				t.Errorf("alive: %v", err)
			}
		}
		beginTransaction(t, c, topic)
		time.Sleep(9 * time.Second)
		if _, err := offset(c, topic); err != kerr.UnstableOffsetCommit {
			t.Errorf("before the time-out: %v", err)
		}
		time.Sleep(2 * time.Second)
		if at, err := offset(c, topic); at != -1 || err != nil {
			t.Errorf("after the time-out: %d, %v", at, err)
		}
		if err, _, _ := c.Heartbeat(beat); err != kerr.UnknownMemberID {
			t.Errorf("expired: %v", err)
		}
	})
}

// TestEveryTransactionTimesOut: however it was begun, and with nothing else to wake the timer.
func TestEveryTransactionTimesOut(t *testing.T) {
	for name, begin := range map[string]func(c *Coordinator, topic commitlog.Topic, p txn.Producer) (*kerr.Error, error){
		"AddPartitions": func(c *Coordinator, topic commitlog.Topic, p txn.Producer) (*kerr.Error, error) {
			kerror, _, err := c.AddPartitions("tx", p, []txn.Partition{{Topic: topic.ID}})
			return kerror, err
		},
		"AddOffsets": func(c *Coordinator, _ commitlog.Topic, p txn.Producer) (*kerr.Error, error) {
			kerror, _, err := c.AddOffsets("tx", p, "g")
			return kerror, err
		},
		"StageOffsets": func(c *Coordinator, topic commitlog.Topic, p txn.Producer) (*kerr.Error, error) {
			_, kerror, _, err := c.StageOffsets("tx", p, true, group.CommitRequest{
				Group: "g", Generation: -1, Offsets: []group.Offset{{Partition: group.Partition{Topic: topic.ID}, At: 5}},
			})
			return kerror, err
		},
		"Append": func(c *Coordinator, topic commitlog.Topic, p txn.Producer) (*kerr.Error, error) {
			raw := batch.Build(batch.Header{ProducerID: p.ID, ProducerEpoch: p.Epoch, Attributes: batch.Attrs(true, false, false)}, []batch.Record{{}})
			_, kerror, err := c.Append(c.log.Partition(topic.ID, 0), txn.Partition{Topic: topic.ID}, "tx", p, raw)
			return kerror, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, topic, done := open(t, vfs.NewMem())
				defer done()
				id := "tx"
				p, kerror, _, err := c.InitProducer(txn.InitRequest{TransactionalID: &id, Timeout: 10 * time.Second, Producer: txn.Producer{ID: -1, Epoch: -1}})
				if kerror != nil || err != nil {
					t.Fatal(kerror, err)
				}
				time.Sleep(time.Minute)
				if kerror, err := begin(c, topic, p); kerror != nil || err != nil {
					t.Fatal(kerror, err)
				}
				for _, w := range []struct {
					after time.Duration
					state string
				}{{9 * time.Second, txn.StateOngoing}, {2 * time.Second, txn.StateCompleteAbort}} {
					time.Sleep(w.after)
					if d, _, _ := c.DescribeTransaction(id); d.State != w.state {
						t.Errorf("%v later: %s, want %s", w.after, d.State, w.state)
					}
				}
			})
		})
	}
}

// TestIDsExpire: a transactional id that nobody uses for long, over a restart, and what comes later from its producer.
func TestIDsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		c, topic, done := open(t, fs)
		p := beginTransaction(t, c, topic)
		end := func(c *Coordinator) *kerr.Error {
			_, kerror, _, err := c.EndTxn(txn.EndRequest{ID: "tx", Producer: p, Commit: true})
			if err != nil {
				t.Error(err)
			}
			return kerror
		}
		if err := end(c); err != nil {
			t.Fatal(err)
		}
		time.Sleep(txn.IDExpiry / 2)
		done()
		c, _, done = open(t, fs)
		time.Sleep(txn.IDExpiry/2 - 2*time.Minute)
		if err := end(c); err != nil {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(idExpiryInterval + 3*time.Minute)
		if err := end(c); err != kerr.InvalidProducerIDMapping {
			t.Errorf("expired: %v", err)
		}
		done()
		c, _, done = open(t, fs)
		defer done()
		if err := end(c); err != kerr.InvalidProducerIDMapping {
			t.Errorf("after a restart: %v", err)
		}
	})
}

// TestIDsOfVersion1Expire: their records do not say when they were used, and their time begins with the upgrade.
func TestIDsOfVersion1Expire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		c, _, done := open(t, fs)
		record := fields.AppendString([]byte{2, 1}, "tx")
		for _, v := range []int64{5, 0, -1, -1, 1000, -1, -1} { // producer, previous one, time-out, last end
			record = binary.AppendVarint(record, v)
		}
		c.txns.Lock()
		_, err := c.commitTxn(txn.Effects{Records: [][]byte{fields.AppendBool(record, false)}})
		c.txns.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		done()
		c, _, done = open(t, fs)
		defer done()
		for wait, want := range []bool{true, false} {
			time.Sleep(2*idExpiryInterval + time.Duration(wait)*txn.IDExpiry)
			if _, ok, _ := c.DescribeTransaction("tx"); ok != want {
				t.Errorf("known is %v, want %v", ok, want)
			}
		}
	})
}

// TestManyIDsExpire: more than go into one entry.
func TestManyIDsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, done := open(t, vfs.NewMem())
		defer done()
		for i := range 2500 {
			id := fmt.Sprint("tx-", i)
			if _, kerror, _, err := c.InitProducer(txn.InitRequest{TransactionalID: &id, Timeout: time.Second, Producer: txn.Producer{ID: -1, Epoch: -1}}); kerror != nil || err != nil {
				t.Fatal(kerror, err)
			}
		}
		time.Sleep(txn.IDExpiry + idExpiryInterval)
		if all, _, _ := c.Transactions(); len(all) != 0 {
			t.Errorf("%d are left", len(all))
		}
	})
}

// TestOffsetsExpire: those of a group without members go when their time has come, and stay gone after a restart.
func TestOffsetsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		c, topic, done := open(t, fs)
		c.RetainOffsets(time.Hour, time.Minute)
		_, lsn, err := c.CommitOffsets(group.CommitRequest{Group: "h", Generation: -1, Offsets: []group.Offset{{Partition: group.Partition{Topic: topic.ID}, At: 5}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(t.Context(), lsn); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59*time.Minute + time.Second)
		if at, err := offset(c, topic); at != 5 || err != nil {
			t.Errorf("before the time: %d, %v", at, err)
		}
		time.Sleep(2 * time.Minute)
		if at, err := offset(c, topic); at != -1 || err != nil {
			t.Errorf("after the time: %d, %v", at, err)
		}
		done()
		c, topic, done = open(t, fs)
		defer done()
		if at, err := offset(c, topic); at != -1 || err != nil {
			t.Errorf("after a restart: %d, %v", at, err)
		}
		if _, ok, _ := c.DescribeGroup("h"); ok {
			t.Error("the group is there")
		}
	})
}

// TestRestartKeepsTime: a session starts anew, a transaction has the time that was left.
func TestRestartKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		c, topic, done := open(t, fs)
		if _, err := c.Join(joinRequest("m")).Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		beginTransaction(t, c, topic)
		time.Sleep(9 * time.Second)
		done()
		c, topic, done = open(t, fs)
		defer done()
		time.Sleep(2 * time.Second)
		if err, _, _ := c.Heartbeat(group.HeartbeatRequest{Group: "g", MemberID: "m", Generation: 1}); err != nil {
			t.Errorf("the session did not start anew: %v", err)
		}
		if at, err := offset(c, topic); at != -1 || err != nil {
			t.Errorf("the transaction did not time out: %d, %v", at, err)
		}
	})
}

// TestParkedCallsEnd: with their client, and when the coordinator closes.
func TestParkedCallsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, done := open(t, vfs.NewMem())
		if _, err := c.Join(joinRequest("m")).Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone, waiting := c.Join(joinRequest("n")), c.Join(joinRequest("o"))
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := gone.Await(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("client gone: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := waiting.Await(t.Context()); !errors.Is(err, ErrClosing) {
				t.Errorf("closing: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		done()
		wg.Wait()
	})
}

// TestLockOrder runs everything that locks both machines, or one and the log, at once.
func TestLockOrder(t *testing.T) {
	c, topic, done := open(t, vfs.NewMem())
	defer done()
	p := beginTransaction(t, c, topic)
	var wg sync.WaitGroup
	both := func(f func()) {
		wg.Go(func() {
			for range 200 {
				f()
			}
		})
	}
	both(func() {
		next, _, _, err := c.EndTxn(txn.EndRequest{ID: "tx", Producer: p, Commit: true, Bump: true})
		if err != nil {
			t.Error(err)
		}
		p = next
		if _, _, _, err := c.StageOffsets("tx", p, true, group.CommitRequest{
			Group: "h", Generation: -1, Offsets: []group.Offset{{Partition: group.Partition{Topic: topic.ID}, At: 6}},
		}); err != nil {
			t.Error(err)
		}
	})
	both(func() {
		if _, _, err := c.CommitOffsets(group.CommitRequest{Group: "i", Generation: -1, Offsets: []group.Offset{{Partition: group.Partition{Topic: topic.ID}}}}); err != nil {
			t.Error(err)
		}
	})
	both(func() { c.FetchOffsets("h", nil, true) })
	both(func() {
		if err := c.ForgetTopic(commitlog.TopicID{9}); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
}

// TestTimersTryAgain: after any error but those that end the log.
func TestTimersTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(time.Now, group.Config{}, slog.New(slog.DiscardHandler))
		a := newAlarm()
		for _, err := range []error{commitlog.ErrClosed, fmt.Errorf("sync: %w", commitlog.ErrStopped)} {
			if at, ok := c.retry(&a, err); ok {
				t.Errorf("%v: at %v", err, at)
			}
		}
		at, ok := c.retry(&a, errors.New("entry is too large"))
		if !ok || time.Until(at) != retryPause || !a.at.Equal(at) {
			t.Errorf("at %v, %v", at, ok)
		}
	})
}
