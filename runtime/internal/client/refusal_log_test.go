package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
	"github.com/millrace-io/millrace/runtime/internal/task"
)

func oneRecord(t *testing.T) *recordbatch.Builder {
	t.Helper()
	b := recordbatch.NewBuilder(0, 0)
	if err := b.Append(nil, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	return b
}

func createTopicWith(t *testing.T, c *Client, configs map[string]string) TopicPartition {
	t.Helper()
	name := unique("topic")
	if err := c.CreateTopics(testContext(t), NewTopic{Name: name, Partitions: 1, Configs: configs}); err != nil {
		t.Fatal(err)
	}
	return TopicPartition{Topic: name}
}

// sendKeyed sends a batch with a record for each value, whose key is null if the value begins with "bad".
func sendKeyed(t *testing.T, p *Producer, tp TopicPartition, values ...string) {
	t.Helper()
	b := p.Builder()
	for i, v := range values {
		key := []byte("key")
		if strings.HasPrefix(v, "bad") {
			key = nil
		}
		if err := b.Append(key, []byte(v), time.Now().UnixMilli(), nil); err != nil {
			t.Fatal(err)
		}
		b.Note(&task.Origin{Offset: int64(i)})
	}
	if err := p.Send(testContext(t), tp, b); err != nil {
		t.Fatal(err)
	}
}

// decide leaves out what is refused until everything is written, and returns the places of the refused records and why.
func decide(t *testing.T, p *Producer, look func(*Refusal)) (refused []string) {
	t.Helper()
	for range 100 {
		err := p.Flush(testContext(t))
		if err == nil {
			return refused
		}
		if !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		for _, r := range p.Refusals() {
			look(&r)
			for _, record := range r.Records {
				if !record.Known {
					t.Errorf("record %+v has no origin", record)
				}
				refused = append(refused, fmt.Sprint(record.Origin.Offset))
			}
			if err := p.Resume(r.TopicPartition); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatalf("refused again and again: %v", refused)
	return nil
}

// N6: a compacted topic takes no record without a key. The broker names them; without them the rest of the batch is written in the same
// transaction, in order, and so is what comes later.
func TestRefusedRecords(t *testing.T) {
	t.Parallel()
	onEachLogAndVersion(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		tp, other := createTopicWith(t, c, map[string]string{"cleanup.policy": "compact"}), TopicPartition{Topic: createTopic(t, c, 1)}
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id")})
		invalid := func(r *Refusal) {
			if r.TopicPartition != tp || r.Final || r.Retriable || r.Unknown || !errors.Is(r.Records[0].Err, kerr.InvalidRecord) {
				t.Errorf("refusal %+v", r)
			}
		}
		var want []string
		for round := range 2 {
			v := func(s string) string { return fmt.Sprintf("%s%d", s, round) }
			sendKeyed(t, p, tp, v("a"), v("bad"), v("b"), v("c"), v("bad too"))
			sendKeyed(t, p, other, v("x"))
			sendKeyed(t, p, tp, v("d"))
			if got := decide(t, p, invalid); !slices.Equal(got, []string{"1", "4"}) {
				t.Errorf("refused %v", got)
			}
			sendKeyed(t, p, tp, v("bad")) // nothing is left of it
			sendKeyed(t, p, tp, v("e"))
			if got := decide(t, p, invalid); !slices.Equal(got, []string{"0"}) {
				t.Errorf("refused %v", got)
			}
			end(t, p, true)
			want = append(want, v("a"), v("b"), v("c"), v("d"), v("e"))
		}
		if got := read(t, c, FetcherConfig{}, tp, 0, len(want)); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if got := read(t, c, FetcherConfig{}, other, 0, 2); !slices.Equal(got, []string{"x0", "x1"}) {
			t.Errorf("the other partition holds %v", got)
		}
	})
}

// A batch that is larger than the topic allows, now, is written in parts; a record that is, is refused.
func TestTooLargeForTheLog(t *testing.T) {
	t.Parallel()
	onEachLogAndVersion(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		tp := createTopicWith(t, c, map[string]string{"max.message.bytes": "500"})
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id")})
		var values, want []string
		for i := range 20 {
			v := fmt.Sprintf("%03d", i) + strings.Repeat("v", 97)
			if i == 13 {
				v += strings.Repeat("v", 500)
			} else {
				want = append(want, v)
			}
			values = append(values, v)
		}
		sendKeyed(t, p, tp, values...)
		sendKeyed(t, p, tp, "last")
		want = append(want, "last")
		got := decide(t, p, func(r *Refusal) {
			if !errors.Is(r.Records[0].Err, kerr.MessageTooLarge) || r.Retriable || r.Final {
				t.Errorf("refusal %+v", r)
			}
		})
		if !slices.Equal(got, []string{"13"}) {
			t.Errorf("refused %v", got)
		}
		end(t, p, true)
		if got := read(t, c, FetcherConfig{}, tp, 0, len(want)); !slices.Equal(got, want) {
			t.Errorf("got %.200q", got)
		}
	})
}

// A transaction with something refused cannot commit; it can be aborted, and the producer goes on.
func TestAbortWithARefusal(t *testing.T) {
	t.Parallel()
	onEachLogAndVersion(t, func(t *testing.T, cfg Config) {
		ctx := testContext(t)
		c := connect(t, cfg)
		tp := createTopicWith(t, c, map[string]string{"cleanup.policy": "compact"})
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id"), MaxBufferedBytes: 200})
		sendKeyed(t, p, tp, "a", "bad")
		if err := p.Flush(ctx); !errors.Is(err, ErrRefused) {
			t.Fatalf("Flush = %v", err)
		}
		sendKeyed(t, p, tp, strings.Repeat("b", 300)) // beyond the buffer: who sends is who decides
		if err := p.End(ctx, true); err == nil {
			t.Fatal("committed")
		}
		end(t, p, false)
		if r := p.Refusals(); len(r) != 0 {
			t.Errorf("refusals after the abort: %v", r)
		}
		sendKeyed(t, p, tp, "fits")
		flush(t, p)
		end(t, p, true)
		if got := read(t, c, FetcherConfig{}, tp, 0, 1); !slices.Equal(got, []string{"fits"}) {
			t.Errorf("got %v", got)
		}
	})
}

// A log that does not answer is a refusal after the delivery time-out, of all that was sent there; what became of it is unknown, so that
// the transaction cannot go on without it.
func TestDeliveryTimeout(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	var away atomic.Bool
	c := connect(t, Config{Brokers: b.Brokers(), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if away.Load() {
			return nil, errors.New("the log is away")
		}
		return b.Dial(ctx, network, address)
	}})
	tp := TopicPartition{Topic: createTopic(t, c, 1)}
	p := newProducer(t, c, ProducerConfig{TransactionalID: "id", DeliveryTimeout: 200 * time.Millisecond})
	away.Store(true)
	sendKeyed(t, p, tp, "a", "b")
	sendKeyed(t, p, tp, "c")
	if err := p.Flush(testContext(t)); !errors.Is(err, ErrRefused) {
		t.Errorf("Flush = %v", err)
	}
	list := p.Refusals()
	if len(list) != 1 || len(list[0].Records) != 3 || !list[0].Retriable || !list[0].Unknown || !strings.Contains(list[0].Records[2].Err.Error(), "tried") {
		t.Fatalf("refusals %+v", list)
	}
	if err := p.Resume(tp); ClassOf(err) != ClassAbort {
		t.Errorf("Resume = %v (%v)", err, ClassOf(err))
	}
	if err := p.End(testContext(t), true); ClassOf(err) != ClassAbort {
		t.Errorf("committed: %v (%v)", err, ClassOf(err))
	}
	away.Store(false)
	end(t, p, false)
	p.mu.Lock()
	if l := p.mu.lanes[tp]; l.unsure || l.tries != 0 || !l.notBefore.IsZero() { // the next transaction is not held to what became of this one
		t.Errorf("after the abort: %+v", l)
	}
	p.mu.Unlock()
	send(t, p, tp, "v")
	flush(t, p)
	end(t, p, true)
}

// A topic that is gone is refused after the delivery time-out; nothing was sent, so that the transaction can do without it.
func TestTopicIsGone(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		tp, other := TopicPartition{Topic: unique("missing")}, TopicPartition{Topic: createTopic(t, c, 1)}
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id"), DeliveryTimeout: 2 * time.Second})
		sendKeyed(t, p, tp, "a", "b")
		sendKeyed(t, p, other, "x")
		got := decide(t, p, func(r *Refusal) {
			if r.TopicPartition != tp || !r.Retriable || r.Unknown {
				t.Errorf("refusal %+v", r)
			}
		})
		if !slices.Equal(got, []string{"0", "1"}) {
			t.Errorf("refused %v", got)
		}
		end(t, p, true)
		if got := read(t, c, FetcherConfig{}, other, 0, 1); !slices.Equal(got, []string{"x"}) {
			t.Errorf("got %v", got)
		}
	})
}

// A transaction of which nothing was sent, because all of it was refused before, is none for the log, which would refuse its end.
func TestNothingWasSent(t *testing.T) {
	t.Parallel()
	onEachLogAndVersion(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id"), DeliveryTimeout: 200 * time.Millisecond})
		for _, commit := range []bool{true, false} {
			sendKeyed(t, p, TopicPartition{Topic: unique("missing")}, "a")
			if got := decide(t, p, func(*Refusal) {}); !slices.Equal(got, []string{"0"}) {
				t.Errorf("refused %v", got)
			}
			if !p.InTransaction() {
				t.Error("not in a transaction")
			}
			end(t, p, commit)
		}
	})
}

// A topic that goes while it is written to is refused as one that was never there; what was sent along with it to others is written.
func TestTopicGoes(t *testing.T) {
	t.Parallel()
	onEachLogAndVersion(t, func(t *testing.T, cfg Config) {
		c := connect(t, cfg)
		stays, goes := TopicPartition{Topic: createTopic(t, c, 1)}, TopicPartition{Topic: createTopic(t, c, 1)} // in the order of requests
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id"), DeliveryTimeout: 2 * time.Second})
		sendKeyed(t, p, stays, "x")
		sendKeyed(t, p, goes, "a")
		flush(t, p)
		end(t, p, true)
		deleteTopic(t, c, goes.Topic)
		sendKeyed(t, p, stays, "y")
		sendKeyed(t, p, goes, "b")
		got := decide(t, p, func(r *Refusal) {
			if r.TopicPartition != goes || !r.Retriable || r.Unknown {
				t.Errorf("refusal %+v", r)
			}
		})
		if !slices.Equal(got, []string{"0"}) {
			t.Errorf("refused %v", got)
		}
		end(t, p, true)
		if got := read(t, c, FetcherConfig{}, stays, 0, 2); !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("got %v", got)
		}
	})
}

// What is sent after a partition was refused, but before anybody has asked why, is refused with the rest; what is sent while it is decided is
// not dropped with it, but tried.
func TestSentWhileRefused(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := connect(t, Config{Brokers: b.Brokers(), Dial: b.Dial})
	tp := TopicPartition{Topic: unique("missing")}
	p := newProducer(t, c, ProducerConfig{TransactionalID: "id", DeliveryTimeout: 200 * time.Millisecond})
	told := func(want int) {
		t.Helper()
		if err := p.Flush(testContext(t)); !errors.Is(err, ErrRefused) {
			t.Fatalf("Flush = %v", err)
		}
		list := p.Refusals()
		if len(list) != 1 || len(list[0].Records) != want || list[0].Records[want-1].Err == nil || !list[0].Retriable || list[0].Unknown {
			t.Fatalf("refusals %+v, want one of %d records", list, want)
		}
	}
	sendKeyed(t, p, tp, "a", "b")
	if err := p.Flush(testContext(t)); !errors.Is(err, ErrRefused) {
		t.Fatalf("Flush = %v", err)
	}
	sendKeyed(t, p, tp, "c") // by who does not know yet
	told(3)
	sendKeyed(t, p, tp, "d") // by the handler
	if err := p.Resume(tp); err != nil {
		t.Fatal(err)
	}
	told(1)
	if err := p.Resume(tp); err != nil {
		t.Fatal(err)
	}
	flush(t, p)
}

// A leader that has lost its part says so of a batch that it has appended and that the next one may have: what became of it is not known.
func TestRefusedByAFormerLeader(t *testing.T) {
	t.Parallel()
	nodes := &twoNodes{b: brokertest.Start(t)}
	c := connect(t, Config{Brokers: []string{"node-0:1"}, Dial: nodes.Dial})
	tp := TopicPartition{Topic: createTopic(t, c, 1)}
	p := newProducer(t, c, ProducerConfig{TransactionalID: "id", DeliveryTimeout: 200 * time.Millisecond})
	nodes.stale.Store(1 << 20) // nobody tells who leads now
	nodes.leads.Store(1)
	sendKeyed(t, p, tp, "a")
	if err := p.Flush(testContext(t)); !errors.Is(err, ErrRefused) {
		t.Fatalf("Flush = %v", err)
	}
	if list := p.Refusals(); len(list) != 1 || !list[0].Retriable || !list[0].Unknown || !errors.Is(list[0].Records[0].Err, kerr.NotLeaderForPartition) {
		t.Errorf("refusals %+v", list)
	}
}

// What is not known of a batch is not known of its halves.
func TestHalvesOfAnUnknownBatch(t *testing.T) {
	t.Parallel()
	for _, unsure := range []bool{false, true} {
		b := oneRecord(t)
		if err := b.Append(nil, nil, 0, nil); err != nil {
			t.Fatal(err)
		}
		p := &Producer{}
		l := &lane{pending: []*recordbatch.Builder{b}, unsure: unsure}
		if err := p.halveLocked(l); err != nil {
			t.Fatal(err)
		}
		p.refuseLocked(l, new(kmsg.NewProduceResponseTopicPartition()), kerr.MessageTooLarge)
		if len(l.pending) != 2 || l.refusal.Unknown != unsure {
			t.Errorf("unsure %v: %d batches, refusal %+v", unsure, len(l.pending), l.refusal)
		}
	}
}

// A batch whose request was given up is not used again: the client may still be about to write it.
func TestLentBatches(t *testing.T) {
	t.Parallel()
	for _, unsure := range []bool{false, true} {
		var cfg ProducerConfig
		cfg.setDefaults()
		p := &Producer{cfg: cfg}
		p.dequeueLocked(&lane{pending: []*recordbatch.Builder{oneRecord(t)}, unsure: unsure})
		if again := len(p.mu.free) > 0; again == unsure {
			t.Errorf("unsure %v: used again %v", unsure, again)
		}
	}
}

// what is not about the records is final.
func TestFinalRefusals(t *testing.T) {
	t.Parallel()
	for err, want := range map[*kerr.Error]bool{
		kerr.TopicAuthorizationFailed: true, kerr.InvalidTopicException: true, kerr.SecurityDisabled: true, kerr.ClusterAuthorizationFailed: true,
		kerr.InvalidRecord: false, kerr.InvalidTimestamp: false, kerr.MessageTooLarge: false, kerr.PolicyViolation: false, kerr.RecordListTooLarge: false,
	} {
		if isFinal(doing(err, "produce")) != want {
			t.Errorf("%v is final: %v", err, !want)
		}
		p := &Producer{}
		l := &lane{pending: []*recordbatch.Builder{oneRecord(t)}}
		a := kmsg.NewProduceResponseTopicPartition()
		a.ErrorCode = err.Code
		p.refuseLocked(l, &a, err)
		if l.refusal.Final != want || l.refusal.Retriable || len(l.refusal.Records) != 1 || p.refused.Load() != 1 {
			t.Errorf("%v: refusal %+v", err, l.refusal)
		}
	}
}

// An answer that names records that are not in the batch is about all of it.
func TestNamesNoRecord(t *testing.T) {
	t.Parallel()
	p := &Producer{}
	l := &lane{pending: []*recordbatch.Builder{oneRecord(t)}}
	a := kmsg.NewProduceResponseTopicPartition()
	a.ErrorCode = kerr.InvalidRecord.Code
	for _, i := range []int32{-1, 1} {
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset = i
		a.ErrorRecords = append(a.ErrorRecords, e)
	}
	p.refuseLocked(l, &a, kerr.InvalidRecord)
	if len(l.refusal.Records) != 1 || !l.refusal.named[0] {
		t.Errorf("refusal %+v", l.refusal)
	}
}

// A record can be read again by its offset; one that is gone is none.
func TestReadRecord(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		ctx := testContext(t)
		c := connect(t, cfg)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		p := newProducer(t, c, ProducerConfig{})
		send(t, p, tp, "a", "b", "c")
		send(t, p, tp, "d")
		flush(t, p)
		for offset, want := range map[int64]string{0: "a", 1: "b", 2: "c", 3: "d"} {
			if r, err := c.ReadRecord(ctx, tp, offset); err != nil || r == nil || string(r.Value) != want || string(r.Key) != "key" || r.Offset != offset {
				t.Errorf("record %d: %+v, %v", offset, r, err)
			}
		}
		if r, err := c.ReadRecord(ctx, tp, 4); r != nil || err != nil {
			t.Errorf("at the end: %+v, %v", r, err)
		}
		if r, err := c.ReadRecord(ctx, tp, 99); r != nil || err != nil {
			t.Errorf("beyond the end: %+v, %v", r, err)
		}
		if _, err := c.DeleteRecords(ctx, map[TopicPartition]int64{tp: 2}); err != nil {
			t.Fatal(err)
		}
		if r, err := c.ReadRecord(ctx, tp, 1); r != nil || err != nil {
			t.Errorf("deleted: %+v, %v", r, err)
		}
	})
}
