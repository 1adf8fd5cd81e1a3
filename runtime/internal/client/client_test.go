package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
)

func TestClasses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want Class
	}{
		{nil, ClassNone},
		{kerr.NotLeaderForPartition, ClassRetry},
		{kerr.CoordinatorLoadInProgress, ClassRetry},
		{kerr.ConcurrentTransactions, ClassRetry},
		{kerr.UnstableOffsetCommit, ClassRetry},
		{io.ErrUnexpectedEOF, ClassRetry},
		{context.DeadlineExceeded, ClassRetry},
		{ErrMemberIDRequired, ClassRetry},
		{ErrRebalance, ClassGeneration},
		{kerr.IllegalGeneration, ClassGeneration},
		{kerr.UnknownMemberID, ClassMemberLost},
		{kerr.TransactionAbortable, ClassAbort},
		{kerr.OutOfOrderSequenceNumber, ClassAbort},
		{kerr.UnknownServerError, ClassAbort},
		{kerr.InvalidTxnState, ClassUnknown},
		{kerr.InvalidProducerIDMapping, ClassUnknown},
		{kerr.InvalidProducerEpoch, ClassFenced},
		{kerr.ProducerFenced, ClassFenced},
		{kerr.FencedInstanceID, ClassFenced},
		{kerr.TopicAuthorizationFailed, ClassFatal},
		{kerr.MessageTooLarge, ClassFatal},
		{kerr.UnsupportedVersion, ClassFatal},
		{kerr.InconsistentGroupProtocol, ClassFatal},
		{ErrClosed, ClassFatal},
		{context.Canceled, ClassFatal},
		{&recordbatch.CorruptError{Err: errors.New("bad")}, ClassFatal},
		{&OutOfRangeError{}, ClassFatal},
		{withClass(io.EOF, ClassUnknown), ClassUnknown},
	} {
		for _, err := range []error{tc.err, doing(tc.err, "doing %s", "this")} {
			if got := ClassOf(err); got != tc.want {
				t.Errorf("ClassOf(%v) = %v, want %v", err, got, tc.want)
			}
		}
	}
	if got := rebalancing(kerr.RebalanceInProgress.Code); !errors.Is(got, ErrRebalance) || ClassOf(got) != ClassGeneration {
		t.Errorf("got %v", got)
	}
}

func TestTransactionVersion(t *testing.T) {
	t.Parallel()
	answer := func(change func(*kmsg.ApiVersionsResponse)) *kmsg.ApiVersionsResponse {
		r := &kmsg.ApiVersionsResponse{
			ApiKeys:           []kmsg.ApiVersionsResponseApiKey{{ApiKey: 0, MaxVersion: 13}, {ApiKey: 26, MaxVersion: 5}, {ApiKey: 28, MaxVersion: 6}},
			FinalizedFeatures: []kmsg.ApiVersionsResponseFinalizedFeature{{Name: "metadata.version", MaxVersionLevel: 25}, {Name: "transaction.version", MaxVersionLevel: 2}},
		}
		change(r)
		return r
	}
	for _, tc := range []struct {
		what   string
		change func(*kmsg.ApiVersionsResponse)
		want   bool
	}{
		{"finalised", func(*kmsg.ApiVersionsResponse) {}, true},
		{"supported, not finalised", func(r *kmsg.ApiVersionsResponse) { r.FinalizedFeatures = r.FinalizedFeatures[:1] }, false},
		{"finalised at 1", func(r *kmsg.ApiVersionsResponse) { r.FinalizedFeatures[1].MaxVersionLevel = 1 }, false},
		{"unknown epoch", func(r *kmsg.ApiVersionsResponse) { r.FinalizedFeaturesEpoch = -1 }, false},
		{"old Produce", func(r *kmsg.ApiVersionsResponse) { r.ApiKeys[0].MaxVersion = 11 }, false},
		{"old EndTxn", func(r *kmsg.ApiVersionsResponse) { r.ApiKeys[1].MaxVersion = 4 }, false},
		{"no TxnOffsetCommit", func(r *kmsg.ApiVersionsResponse) { r.ApiKeys = r.ApiKeys[:2] }, false},
	} {
		if got := transactionV2(answer(tc.change)); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.what, got, tc.want)
		}
	}
	for key, want := range map[int16][2]int16{0: {11, 13}, 26: {4, 5}, 28: {4, 5}, 8: {9, 9}, 9: {9, 9}} {
		for i, v2 := range []bool{false, true} {
			if got, _ := maxVersions(v2).LookupMaxKeyVersion(key); got != want[i] {
				t.Errorf("key %d, v2=%v: max version %d, want %d", key, v2, got, want[i])
			}
		}
	}
}

func TestNextSequence(t *testing.T) {
	t.Parallel()
	for _, tc := range [][3]int64{{0, 5, 5}, {math.MaxInt32 - 1, 1, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 2, 5, 2}} {
		if got := nextSequence(int32(tc[0]), tc[1]); int64(got) != tc[2] {
			t.Errorf("%d after %d is %d, want %d", tc[1], tc[0], got, tc[2])
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for tries, want := range map[int]time.Duration{0: firstBackoff, 1: firstBackoff, 2: 2 * firstBackoff, 4: 8 * firstBackoff, 100: maxBackoff} {
		if got := backoff(tries); got != want {
			t.Errorf("after %d tries: %v, want %v", tries, got, want)
		}
	}
}

func TestByTopic(t *testing.T) {
	t.Parallel()
	var got []string
	for topic, ps := range byTopic([]TopicPartition{{Topic: "b", Partition: 1}, {Topic: "a", Partition: 2}, {Topic: "b", Partition: 0}}) {
		got = append(got, fmt.Sprint(topic, ps))
	}
	if want := []string{"a[2]", "b[0 1]"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestConnectSaysWhere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Connect(testContext(t), Config{Brokers: []string{address}})
	if err == nil || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line with the address", err)
	}
	if _, err := Connect(testContext(t), Config{}); err == nil {
		t.Error("connected to nowhere")
	}
}

// TLS comes on top of whatever Dial opens, and the server's name is the host's.
func TestTLS(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", web.TLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			outside, err := l.Accept()
			if err != nil {
				return
			}
			inside, err := b.Dial(t.Context(), "", "")
			if err != nil {
				_ = outside.Close()
				return
			}
			go func() { _, _ = io.Copy(inside, outside); _ = inside.Close() }()
			go func() { _, _ = io.Copy(outside, inside); _ = outside.Close() }()
		}
	}()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	cfg := Config{Brokers: []string{"example.com:9093"}, Dial: dial, TLS: &tls.Config{RootCAs: roots}}
	if _, err := Connect(testContext(t), cfg); err != nil {
		t.Errorf("as the host that the certificate is for: %v", err)
	}
	cfg.Brokers = []string{"example.org:9093"}
	if _, err := Connect(testContext(t), cfg); err == nil {
		t.Error("connected to a host that the certificate is not for")
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	onEachLog(t, func(t *testing.T, cfg Config) {
		ctx := testContext(t)
		c := connect(t, cfg)
		if c.ClusterID() == "" {
			t.Error("no cluster id")
		}
		a, b := unique("a"), unique("b")
		if got, err := c.Topics(ctx, a); err != nil || len(got) != 0 {
			t.Fatalf("before: %v, %v", got, err)
		}
		for range 2 { // again: they exist
			if err := c.CreateTopics(ctx, NewTopic{Name: a, Partitions: 3}, NewTopic{Name: b, Partitions: 1, Configs: map[string]string{"cleanup.policy": "compact"}}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := c.Topics(ctx, a, b)
		if err != nil || len(got[a].Partitions) != 3 || len(got[b].Partitions) != 1 || got[a].ID == got[b].ID || got[a].Partitions[2].Leader < 0 {
			t.Fatalf("got %+v, %v", got, err)
		}
		err = c.CreateTopics(ctx, NewTopic{Name: a, Partitions: 4})
		if mismatch, ok := errors.AsType[*PartitionCountError](err); !ok || mismatch.Have != 3 || mismatch.Want != 4 || ClassOf(err) != ClassFatal {
			t.Errorf("got %v (%v), want a *PartitionCountError", err, ClassOf(err))
		}
		if err = c.CreateTopics(ctx, NewTopic{Name: "no/such name", Partitions: 1}); ClassOf(err) != ClassFatal {
			t.Errorf("got %v (%v)", err, ClassOf(err))
		}
		tp := TopicPartition{Topic: a, Partition: 1}
		p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id")})
		send(t, p, tp, "x", "y")
		flush(t, p)
		for spec, want := range map[OffsetSpec]int64{LogStart: 0, HighWatermark: 2, LastStable: 0} {
			if got, err := c.ListOffsets(ctx, spec, []TopicPartition{tp}); err != nil || got[tp] != want {
				t.Errorf("offset %d: got %v, %v, want %d", spec, got, err, want)
			}
		}
		times := map[time.Time]int64{time.UnixMilli(0): 0, time.Now().Add(time.Hour): 0} // the second one is after all: the last stable offset
		for at, want := range times {
			if got, err := c.ListOffsets(ctx, Since(at), []TopicPartition{tp}); err != nil || got[tp] != want {
				t.Errorf("offset since %v: got %v, %v, want %d", at, got, err, want)
			}
		}
		end(t, p, true)
		for { // a coordinator may answer before the markers are written
			got, err := c.ListOffsets(ctx, LastStable, []TopicPartition{tp})
			if err != nil {
				t.Fatalf("last stable: got %v, %v", got, err)
			}
			if got[tp] == 3 {
				break
			}
		}
		times = map[time.Time]int64{time.UnixMilli(0): 0, time.Now().Add(time.Hour): 3}
		for at, want := range times {
			if got, err := c.ListOffsets(ctx, Since(at), []TopicPartition{tp}); err != nil || got[tp] != want {
				t.Errorf("offset since %v: got %v, %v, want %d", at, got, err, want)
			}
		}
	})
}

// A broker that restarts is a pause: what was sent is written once, a transaction that was open commits, and the fetcher
// goes on.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	var current atomicBroker
	current.Store(b)
	c := connect(t, Config{Brokers: b.Brokers(), Dial: current.Dial})
	tp := TopicPartition{Topic: createTopic(t, c, 1)}
	p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id")})
	f := newFetcher(t, c, FetcherConfig{})
	f.Add(tp, 0)
	var want, got []string
	for i := range 4 {
		v := fmt.Sprint("value ", i)
		want = append(want, v, v+" again")
		send(t, p, tp, v)
		if i%2 == 0 {
			flush(t, p)
		}
		b = b.Restart(t)
		current.Store(b)
		send(t, p, tp, v+" again")
		flush(t, p)
		end(t, p, true)
		for len(got) < len(want) {
			n := next(t, f, "records", func(n *Fetched) bool { return n.Batch != nil || n.Err != nil })
			if n.Err != nil {
				t.Fatal(n.Err)
			}
			got = append(got, drainBatch(t, &n)...)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An end whose answer is lost for good leaves the outcome unknown; a new session tells.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	var away atomic.Bool
	c := connect(t, Config{Brokers: b.Brokers(), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if away.Load() {
			return nil, errors.New("the log is away")
		}
		conn, err := b.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &deafConn{Conn: conn, deaf: &away}, nil
	}})
	tp := TopicPartition{Topic: createTopic(t, c, 1)}
	p := newProducer(t, c, ProducerConfig{TransactionalID: "id"})
	send(t, p, tp, "v")
	flush(t, p)
	away.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := p.End(ctx, true); ClassOf(err) != ClassUnknown {
		t.Errorf("got %v (%v)", err, ClassOf(err))
	}
	away.Store(false)
	if err := p.Init(testContext(t)); err != nil {
		t.Fatal(err)
	}
	send(t, p, tp, "next")
	flush(t, p)
	end(t, p, true)
	if got := read(t, c, FetcherConfig{}, tp, 0, 2); !slices.Equal(got, []string{"v", "next"}) { // it had been committed
		t.Errorf("got %v", got)
	}
}

// deafConn is a connection on which no answer is heard while deaf is set: it fails when one comes.
type deafConn struct {
	net.Conn
	deaf *atomic.Bool
}

func (c *deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.deaf.Load() {
		return 0, errors.Join(io.ErrUnexpectedEOF, c.Conn.Close())
	}
	return n, err
}
