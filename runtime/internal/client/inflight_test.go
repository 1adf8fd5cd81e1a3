package client

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// heldLog is the embedded broker, to which batches get only when they are let go.
type heldLog struct {
	b        *brokertest.Broker
	goOn     chan struct{}
	produced atomic.Int32
	ended    atomic.Int32
	refuse   atomic.Int32 // the code that batches are answered with instead, 0: none
	silent   atomic.Bool  // answers leave the partitions out
}

func (l *heldLog) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialNode(ctx, l.b, network, address, l.hold, func(request, answer []byte) ([]byte, error) {
		return asTwoNodes(request, answer, func(*kmsg.MetadataResponse, int32) {})
	})
}

func (l *heldLog) hold(frame []byte, _ int32) ([]byte, error) {
	switch kmsg.Key(binary.BigEndian.Uint16(frame)) {
	case kmsg.EndTxn:
		l.ended.Add(1)
	case kmsg.Produce:
		l.produced.Add(1)
		<-l.goOn
		if code := l.refuse.Load(); code != 0 {
			req, err := readRequest(frame)
			if err != nil {
				return nil, err
			}
			resp := refuseBatches(req.(*kmsg.ProduceRequest), int16(code))
			if l.silent.Load() {
				resp.Topics = nil
			}
			return respond(frame, resp), nil
		}
	}
	return nil, nil
}

// refuseBatches answers a code for each partition.
func refuseBatches(req *kmsg.ProduceRequest, code int16) *kmsg.ProduceResponse {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, rt := range req.Topics {
		t := kmsg.NewProduceResponseTopic()
		t.Topic, t.TopicID = rt.Topic, rt.TopicID
		for _, rp := range rt.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode, p.BaseOffset = rp.Partition, code, -1
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// sees waits until so many batches have come.
func (l *heldLog) sees(t *testing.T, batches int32) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); l.produced.Load() < batches; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d batches after 20 s", l.produced.Load())
		}
	}
}

// N3: the end of a transaction waits for the batch that is under way, and no other is begun; a commit does not even try.
func TestEndWaitsForBatches(t *testing.T) {
	t.Parallel()
	l := &heldLog{b: brokertest.Start(t), goOn: make(chan struct{})}
	c := connect(t, Config{Brokers: []string{"node-0:1"}, Dial: l.Dial})
	tp := TopicPartition{Topic: createTopic(t, c, 1)}
	p := newProducer(t, c, ProducerConfig{TransactionalID: "id"})
	send(t, p, tp, "aborted")
	l.sees(t, 1)
	send(t, p, tp, "dropped")
	if err := p.End(testContext(t), true); ClassOf(err) != ClassAbort {
		t.Errorf("commit = %v (%v)", err, ClassOf(err))
	}
	done := make(chan error, 1)
	go func() { done <- p.End(testContext(t), false) }()
	select {
	case err := <-done:
		t.Fatalf("End = %v with a batch under way", err)
	case <-time.After(100 * time.Millisecond):
	}
	if n := l.ended.Load(); n != 0 {
		t.Errorf("%d ends are sent with a batch under way", n)
	}
	l.goOn <- struct{}{}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if batches, ends := l.produced.Load(), l.ended.Load(); batches != 1 || ends != 1 {
		t.Errorf("%d batches and %d ends are sent", batches, ends)
	}
	close(l.goOn)
	send(t, p, tp, "kept")
	flush(t, p)
	end(t, p, true)
	if got := read(t, c, FetcherConfig{}, tp, 0, 1); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("got %v", got)
	}
}

// What became of a batch is unknown once one answer was missing, or may have followed an append, whatever the log says after that.
func TestUnsureForGood(t *testing.T) {
	t.Parallel()
	for what, first := range map[string]func(*heldLog){
		"left out":      func(l *heldLog) { l.silent.Store(true); l.refuse.Store(1) },
		"not leader":    func(l *heldLog) { l.refuse.Store(int32(kerr.NotLeaderForPartition.Code)) },
		"certainly not": func(l *heldLog) { l.refuse.Store(int32(kerr.NotEnoughReplicas.Code)) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l := &heldLog{b: brokertest.Start(t), goOn: make(chan struct{})}
			c := connect(t, Config{Brokers: []string{"node-0:1"}, Dial: l.Dial})
			tp := TopicPartition{Topic: createTopic(t, c, 1)}
			p := newProducer(t, c, ProducerConfig{TransactionalID: "id", DeliveryTimeout: 5 * time.Second})
			first(l)
			send(t, p, tp, "a")
			l.goOn <- struct{}{}
			l.sees(t, 2)
			l.silent.Store(false)
			l.refuse.Store(int32(kerr.InvalidRecord.Code))
			close(l.goOn)
			if err := p.Flush(testContext(t)); !errors.Is(err, ErrRefused) {
				t.Fatalf("Flush = %v", err)
			}
			list := p.Refusals()
			if len(list) != 1 || list[0].Retriable || list[0].Unknown != (what != "certainly not") {
				t.Errorf("refusals %+v", list)
			}
		})
	}
}

// A partition without a leader is looked for until the delivery time-out, and not known to be anywhere meanwhile.
func TestNoLeader(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	open := connect(t, Config{Brokers: b.Brokers(), Dial: b.Dial})
	tp := TopicPartition{Topic: createTopic(t, open, 1)}
	var asked atomic.Int32
	c := connect(t, Config{Brokers: []string{"node-0:1"}, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialNode(ctx, b, network, address, func([]byte, int32) ([]byte, error) { return nil, nil }, func(request, answer []byte) ([]byte, error) {
			return asTwoNodes(request, answer, func(resp *kmsg.MetadataResponse, _ int32) {
				for i := range resp.Topics {
					resp.Topics[i].Partitions[0].Leader = -1
					asked.Add(1)
				}
			})
		})
	}})
	p := newProducer(t, c, ProducerConfig{TransactionalID: "id", DeliveryTimeout: 300 * time.Millisecond})
	sendKeyed(t, p, tp, "a")
	got := decide(t, p, func(r *Refusal) {
		if !r.Retriable || r.Unknown || !errors.Is(r.Records[0].Err, errNoLeader) {
			t.Errorf("refusal %+v", r)
		}
	})
	if !slices.Equal(got, []string{"0"}) {
		t.Errorf("refused %v", got)
	}
	if n := asked.Load(); n < 2 || n > 20 {
		t.Errorf("the log was asked %d times", n)
	}
}

// A producer that has failed sends nothing more until Init, neither what failed nor what waits behind it.
func TestNothingAfterAFailure(t *testing.T) {
	t.Parallel()
	l := &heldLog{b: brokertest.Start(t), goOn: make(chan struct{})}
	c := connect(t, Config{Brokers: []string{"node-0:1"}, Dial: l.Dial})
	tp := TopicPartition{Topic: createTopic(t, c, 1)}
	p := newProducer(t, c, ProducerConfig{TransactionalID: "id"})
	l.refuse.Store(int32(kerr.OutOfOrderSequenceNumber.Code))
	send(t, p, tp, "fails")
	l.sees(t, 1)
	send(t, p, tp, "waits")
	close(l.goOn)
	if err := p.Flush(testContext(t)); ClassOf(err) != ClassAbort {
		t.Errorf("Flush = %v (%v)", err, ClassOf(err))
	}
	time.Sleep(50 * time.Millisecond)
	if n := l.produced.Load(); n != 1 {
		t.Errorf("%d batches are sent", n)
	}
	l.refuse.Store(0)
	if err := p.Init(testContext(t)); err != nil {
		t.Fatal(err)
	}
	send(t, p, tp, "kept")
	flush(t, p)
	end(t, p, true)
	if got := read(t, c, FetcherConfig{}, tp, 0, 1); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("got %v", got)
	}
}
