package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// quotaLog is a log of two nodes, each of which leads one partition of one topic, that takes everything, holds nothing, and says for how long it
// wants to be left alone. What was asked, and when, is what tests look at.
type quotaLog struct {
	t  *testing.T
	at time.Time // when it began
	mu struct {
		sync.Mutex
		throttles map[string][]time.Duration // of the next answers, by node and kind of request
		trace     []string
		offsets   [2]int64
		code      int16 // of the answers to batches
	}
}

const quotaTopic = "t"

func newQuotaLog(t *testing.T) *quotaLog {
	l := &quotaLog{t: t, at: time.Now()}
	l.mu.throttles = make(map[string][]time.Duration)
	return l
}

func (l *quotaLog) connect() *Client {
	return connect(l.t, Config{Brokers: []string{"node-0:1"}, Dial: l.Dial})
}

// ask has the next answers of a node carry throttle times.
func (l *quotaLog) ask(node int, kind string, throttles ...time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.throttles[fmt.Sprint(node, kind)] = throttles
}

// asked returns the batches and fetches that have come since, each with its time.
func (l *quotaLog) asked() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	trace := l.mu.trace
	l.mu.trace = nil
	return trace
}

func (l *quotaLog) Dial(_ context.Context, _, address string) (net.Conn, error) {
	var node int
	if _, err := fmt.Sscanf(address, "node-%d:1", &node); err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	near, far := net.Pipe()
	go func() {
		defer func() { _ = far.Close() }()
		if err := l.serve(far, node); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
			l.t.Error(err)
		}
	}()
	return near, nil
}

func (l *quotaLog) serve(conn net.Conn, node int) error {
	for {
		frame, err := readFrame(conn)
		if err != nil {
			return err
		}
		req, err := readRequest(frame)
		if err != nil {
			return err
		}
		if err := writeFrame(conn, respond(frame, l.answer(req, node))); err != nil {
			return err
		}
	}
}

func (l *quotaLog) answer(req kmsg.Request, node int) kmsg.Response {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch req := req.(type) {
	case *kmsg.ApiVersionsRequest:
		resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
		for _, k := range []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.Metadata, kmsg.ApiVersions, kmsg.InitProducerID} {
			a := kmsg.NewApiVersionsResponseApiKey()
			a.ApiKey, a.MaxVersion = k.Int16(), kmsg.RequestForKey(k.Int16()).MaxVersion()
			resp.ApiKeys = append(resp.ApiKeys, a)
		}
		return resp
	case *kmsg.MetadataRequest:
		return quotaMetadata(req)
	case *kmsg.InitProducerIDRequest:
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ProducerID = 7
		return resp
	case *kmsg.ProduceRequest:
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		resp.ThrottleMillis = l.noteLocked(node, "produce")
		for _, rt := range req.Topics {
			t := kmsg.NewProduceResponseTopic()
			t.Topic, t.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition, p.BaseOffset, p.ErrorCode = rp.Partition, l.mu.offsets[rp.Partition], l.mu.code
				l.mu.offsets[rp.Partition]++
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
		return resp
	case *kmsg.FetchRequest:
		resp := answerFetch(req, func(*kmsg.FetchResponseTopicPartition) {})
		resp.ThrottleMillis = l.noteLocked(node, "fetch")
		return resp
	}
	l.t.Errorf("%T is not expected", req)
	return req.ResponseKind()
}

// noteLocked notes a request and returns for how long the node wants to be left alone after it.
func (l *quotaLog) noteLocked(node int, kind string) int32 {
	l.mu.trace = append(l.mu.trace, fmt.Sprintf("%v %s at %d", time.Since(l.at).Round(time.Millisecond), kind, node))
	key := fmt.Sprint(node, kind)
	next := l.mu.throttles[key]
	if len(next) == 0 {
		return 0
	}
	l.mu.throttles[key] = next[1:]
	return int32(next[0].Milliseconds())
}

func quotaMetadata(req *kmsg.MetadataRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	for node := range int32(2) {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = node, fmt.Sprintf("node-%d", node), 1
		resp.Brokers = append(resp.Brokers, b)
	}
	if len(req.Topics) == 0 {
		return resp
	}
	t := kmsg.NewMetadataResponseTopic()
	t.Topic, t.TopicID = kmsg.StringPtr(quotaTopic), [16]byte{1}
	for n := range int32(2) {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader = n, n
		t.Partitions = append(t.Partitions, p)
	}
	resp.Topics = append(resp.Topics, t)
	return resp
}

// inBubble runs a test in virtual time against such a log.
func inBubble(t *testing.T, test func(t *testing.T, l *quotaLog)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newQuotaLog(t)) })
}

func wantAsked(t *testing.T, l *quotaLog, want ...string) {
	t.Helper()
	if got := l.asked(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

var first, second = TopicPartition{Topic: quotaTopic}, TopicPartition{Topic: quotaTopic, Partition: 1}

// A node that has said for how long it wants to be left alone is sent no batch before; others are, and what comes meanwhile goes with the next
// request, in order.
func TestThrottledProducer(t *testing.T) {
	inBubble(t, func(t *testing.T, l *quotaLog) {
		p := newProducer(t, l.connect(), ProducerConfig{})
		l.ask(0, "produce", 700*time.Millisecond)
		send(t, p, first, "a")
		flush(t, p)
		wantAsked(t, l, "0s produce at 0")
		time.Sleep(100 * time.Millisecond)
		send(t, p, first, "b")
		send(t, p, second, "c")
		time.Sleep(100 * time.Millisecond)
		send(t, p, first, "d")
		flush(t, p)
		wantAsked(t, l, "100ms produce at 1", "700ms produce at 0", "700ms produce at 0")
	})
}

// What waits for a node that wants to be left alone is not tried, so its time to be delivered has not begun. The longest of several answers
// counts.
func TestThrottleIsNoTry(t *testing.T) {
	inBubble(t, func(t *testing.T, l *quotaLog) {
		p := newProducer(t, l.connect(), ProducerConfig{DeliveryTimeout: 2 * time.Second})
		l.ask(0, "produce", 30*time.Second)
		send(t, p, first, "a")
		flush(t, p)
		send(t, p, first, "b")
		flush(t, p)
		wantAsked(t, l, "0s produce at 0", "30s produce at 0")
		p.throttle.OnBrokerThrottle(kgo.BrokerMetadata{NodeID: 0}, time.Minute, true)
		p.throttle.OnBrokerThrottle(kgo.BrokerMetadata{NodeID: 0}, time.Second, true)
		p.throttle.OnBrokerThrottle(kgo.BrokerMetadata{NodeID: 1}, time.Minute, false) // it has waited itself
		if hold, other := p.throttle.hold(0, time.Now()), p.throttle.hold(1, time.Now()); hold != time.Minute || other != 0 {
			t.Errorf("held for %v and %v", hold, other)
		}
	})
}

// A batch that is not taken is tried again, less and less often, and for the last time as its time to be delivered ends.
func TestLastTry(t *testing.T) {
	inBubble(t, func(t *testing.T, l *quotaLog) {
		p := newProducer(t, l.connect(), ProducerConfig{DeliveryTimeout: 2500 * time.Millisecond})
		l.mu.code = kerr.NotEnoughReplicas.Code
		send(t, p, first, "a")
		if err := p.Flush(testContext(t)); !errors.Is(err, ErrRefused) {
			t.Errorf("Flush = %v", err)
		}
		wantAsked(t, l, "0s produce at 0", "10ms produce at 0", "30ms produce at 0", "70ms produce at 0", "150ms produce at 0", "310ms produce at 0",
			"630ms produce at 0", "1.27s produce at 0", "2.27s produce at 0", "2.5s produce at 0")
		if r := p.Refusals(); len(r) != 1 || !r[0].Retriable || r[0].Unknown {
			t.Errorf("refusals %+v", r)
		}
	})
}

// The time to be delivered is each batch's own.
func TestTriesBeginAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, l *quotaLog) {
		p := newProducer(t, l.connect(), ProducerConfig{DeliveryTimeout: 2500 * time.Millisecond})
		set := func(code int16) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.mu.code = code
		}
		for range 3 {
			set(kerr.NotEnoughReplicas.Code)
			send(t, p, first, "a")
			time.Sleep(2 * time.Second)
			set(0)
			flush(t, p)
		}
	})
}

// A node that asks for an absurd time is tried after maxThrottle.
func TestThrottleIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, l *quotaLog) {
		p := newProducer(t, l.connect(), ProducerConfig{DeliveryTimeout: 2 * time.Second})
		l.ask(0, "produce", 20*24*time.Hour)
		send(t, p, first, "a")
		flush(t, p)
		send(t, p, first, "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		wantAsked(t, l, "0s produce at 0", "5m0s produce at 0")
	})
}

// Fetches are held back as batches are, also if a partition is added meanwhile, and Close does not wait.
func TestThrottledFetcher(t *testing.T) {
	inBubble(t, func(t *testing.T, l *quotaLog) {
		c := l.connect()
		f := newFetcher(t, c, FetcherConfig{MaxWait: time.Second})
		l.ask(0, "fetch", 900*time.Millisecond)
		f.Add(first, 0)
		time.Sleep(100 * time.Millisecond)
		l.ask(0, "fetch", time.Hour)
		l.ask(1, "fetch", time.Hour)
		f.Remove(first)
		f.Add(first, 0)
		f.Add(second, 0)
		synctest.Wait()
		f.mu.Lock()
		if f.mu.feeds[first].busy { // the library would keep it until then
			t.Error("a fetch is made long before it may be sent")
		}
		f.mu.Unlock()
		time.Sleep(2 * time.Second)
		wantAsked(t, l, "0s fetch at 0", "100ms fetch at 1", "900ms fetch at 0")
		began := time.Now()
		f.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
	})
}
