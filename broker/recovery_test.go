package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// reopened is each way for a broker to come back.
var reopened = map[string]func(testing.TB, *brokertest.Broker) *brokertest.Broker{
	"closed": func(t testing.TB, b *brokertest.Broker) *brokertest.Broker { return b.Restart(t) },
	"killed": func(t testing.TB, b *brokertest.Broker) *brokertest.Broker { return b.Crash(t, 100, 1) },
	"crashed, nothing unsynced survives": func(t testing.TB, b *brokertest.Broker) *brokertest.Broker {
		return b.Crash(t, 0, 1)
	},
	"crashed, half of what is unsynced survives": func(t testing.TB, b *brokertest.Broker) *brokertest.Broker {
		return b.Crash(t, 50, 1)
	},
}

// TestEverythingAcknowledgedIsThere leaves records, offsets, an ended and an open transaction behind, and finds them again.
func TestEverythingAcknowledgedIsThere(t *testing.T) {
	t.Parallel()
	for name, reopen := range reopened {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t, brokertest.Memory())
			cl := client(t, b)
			createTopic(t, cl, "t", 3)
			createTopic(t, cl, "gone", 1)
			ctx := testContext(t)
			if err := cl.ProduceSync(ctx, numbered("t", 0, 300)...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			adm := kadm.NewClient(cl)
			offsets := make(kadm.Offsets)
			offsets.Add(kadm.Offset{Topic: "t", Partition: 0, At: 42, LeaderEpoch: 0, Metadata: "forty-two"})
			if err := adm.CommitAllOffsets(ctx, "g", offsets); err != nil {
				t.Fatal(err)
			}
			if _, err := adm.DeleteTopic(ctx, "gone"); err != nil {
				t.Fatal(err)
			}
			before, err := adm.ListTopics(ctx)
			if err != nil {
				t.Fatal(err)
			}
			transact(t, client(t, b, kgo.TransactionalID("ended")), kgo.TryCommit, numbered("t", 300, 310)...)
			init := initProducer(t, cl, "open", time.Minute)
			p := producer{init.ProducerID, init.ProducerEpoch}
			if err := txnCommitOffset(t, cl, "open", p, "g", "", -1, "t", 50); err != nil {
				t.Fatal(err)
			}

			b = reopen(t, b)
			cl = client(t, b)
			adm = kadm.NewClient(cl)
			after, err := adm.ListTopics(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("topics before: %v\nafter: %v", before, after)
			}
			consume(t, committedReader(t, b, "t"), 310)
			if _, err := fetchOffset(t, cl, "g", "t"); !errors.Is(err, kerr.UnstableOffsetCommit) {
				t.Errorf("the open transaction is not open: %v", err)
			}
			got, err := adm.FetchOffsets(ctx, "g")
			if err != nil {
				t.Fatal(err)
			}
			if o, ok := got.Lookup("t", 0); !ok || o.At != 42 || o.Metadata != "forty-two" {
				t.Errorf("offset %+v", o)
			}
			if _, err := endTxn(t, cl, "open", p, true); err != nil {
				t.Fatal(err)
			}
			if at, err := fetchOffset(t, cl, "g", "t"); at != 50 || err != nil {
				t.Errorf("after its end: %d, %v", at, err)
			}
			if again := initProducer(t, cl, "new", time.Minute); again.ProducerID <= p.id {
				t.Errorf("producer id %d was given out before", again.ProducerID)
			}
		})
	}
}

// TestOpenTransactionGoesOn: a producer whose broker is cut off in the middle of a transaction commits it afterwards.
func TestOpenTransactionGoesOn(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	sw := &switchable{broker: b}
	cl := client(t, b, kgo.Dialer(sw.dial), kgo.TransactionalID("tx"))
	createTopic(t, cl, "t", 2)
	ctx := testContext(t)
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, numbered("t", 0, 20)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	crashed := b.Crash(t, 0, 1)
	sw.to(crashed)
	if err := cl.ProduceSync(ctx, numbered("t", 20, 40)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	got := consume(t, committedReader(t, crashed, "t"), 40)
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != 40 {
		t.Errorf("%d distinct records", len(got))
	}
}

// TestLostRecordsAreNoticed: a client that believes in the leader epoch from before records were lost is told so, and finds out where they
// end (KIP-320). Other records may be at their offsets by then.
func TestLostRecordsAreNoticed(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory(), brokertest.Config(func(c *broker.Config) { c.Durability = broker.Async }))
	createTopic(t, client(t, b), "t", 1)
	produceRaw(t, b, "t", rawBatch(-1, -1, -1, "kept"))
	b = b.Restart(t)
	produceRaw(t, b, "t", rawBatch(-1, -1, -1, "lost", "lost", "lost"))
	b = b.Crash(t, 0, 1)
	produceRaw(t, b, "t", rawBatch(-1, -1, -1, "another", "another"))
	c := dialRaw(t, b)
	for timestamp, want := range map[int64]int32{-2: 0, -1: 1} { // the earliest record is not of the present epoch
		list := kmsg.NewPtrListOffsetsRequest()
		list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{CurrentLeaderEpoch: -1, Timestamp: timestamp}}}}
		if p := ask[*kmsg.ListOffsetsResponse](t, c, 7, list).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LeaderEpoch != want {
			t.Errorf("timestamp %d: %+v, want epoch %d", timestamp, p, want)
		}
	}
	for epoch, want := range map[int32]error{-1: nil, 0: kerr.FencedLeaderEpoch, 1: nil, 2: kerr.UnknownLeaderEpoch} {
		fetch := fetchRequest("t", 1, 0)
		fetch.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
		list := kmsg.NewPtrListOffsetsRequest()
		list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{CurrentLeaderEpoch: epoch, Timestamp: -1}}}}
		end := kmsg.NewPtrOffsetForLeaderEpochRequest()
		end.ReplicaID = -1
		end.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{CurrentLeaderEpoch: epoch, LeaderEpoch: 0}}}}
		fetched := ask[*kmsg.FetchResponse](t, c, 12, fetch).Topics[0].Partitions[0]
		listed := ask[*kmsg.ListOffsetsResponse](t, c, 7, list).Topics[0].Partitions[0]
		ended := ask[*kmsg.OffsetForLeaderEpochResponse](t, c, 4, end).Topics[0].Partitions[0]
		for _, code := range []int16{fetched.ErrorCode, listed.ErrorCode, ended.ErrorCode} {
			if err := kerr.ErrorForCode(code); !errors.Is(err, want) {
				t.Errorf("in epoch %d: %v, want %v", epoch, err, want)
			}
		}
		if want == nil && (len(fetched.RecordBatches) == 0 || listed.Offset != 3 || listed.LeaderEpoch != 1 || ended.LeaderEpoch != 0 || ended.EndOffset != 1) {
			t.Errorf("in epoch %d: %d bytes, listed %+v, epoch 0 ends %+v", epoch, len(fetched.RecordBatches), listed, ended)
		}
	}
}

// TestIdempotentRetryAcrossRestart: the batch that a producer sends again, because the answer was lost with the broker, is
// there once.
func TestIdempotentRetryAcrossRestart(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	cl := client(t, b)
	createTopic(t, cl, "t", 1)
	init := initIdempotent(t, b)
	batch := rawBatch(init.ProducerID, init.ProducerEpoch, 0, "one", "two")
	first := produceRaw(t, b, "t", batch)
	again := produceRaw(t, b, "t", batch)
	crashed := b.Crash(t, 0, 1)
	third := produceRaw(t, crashed, "t", batch)
	next := produceRaw(t, crashed, "t", rawBatch(init.ProducerID, init.ProducerEpoch, 2, "three"))
	if first != 0 || again != 0 || third != 0 || next != 2 {
		t.Errorf("base offsets %d, %d, %d, %d", first, again, third, next)
	}
	if got := consume(t, committedReader(t, crashed, "t"), 3); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("got %q", got)
	}
}

func TestDirectoryLock(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	_, err := broker.Open(t.Context(), broker.Config{Dir: b.Config.Dir})
	if !errors.Is(err, broker.ErrLocked) || !strings.Contains(err.Error(), b.Config.Dir) || strings.Contains(err.Error(), "\n") {
		t.Errorf("second open: %v", err)
	}
	b.Restart(t)
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	_, err := broker.Open(t.Context(), broker.Config{Listen: "nonsense", DefaultPartitions: -1, MaxRequestBytes: 1, Durability: 7})
	for _, want := range []string{"Dir", "Listen", "DefaultPartitions", "MaxRequestBytes", "Durability"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in %v", want, err)
		}
	}
	if _, err := broker.Open(t.Context(), broker.Config{Dir: "d", FS: vfs.NewMem(), Listen: "192.0.2.1:1"}); err == nil {
		t.Error("listening on somebody else's address")
	}
}
