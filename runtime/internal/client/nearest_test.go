package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// replicas makes the embedded broker look like a leader, node-0 in rack-0, and a replica, node-1 in rack-1, for which the leader has readers
// from rack-1. What the replica answers instead of data is scripted.
type replicas struct {
	b     *brokertest.Broker
	first atomic.Int32 // node id of the broker itself
	// electing is how many more answers about metadata say that a topic has no leaders yet.
	electing atomic.Int32

	mu struct {
		sync.Mutex
		asked []string // who was asked to fetch: "leader", "leader for rack-1", "replica"
		// fault is what the replica answers, until it is taken back: 0 data, -1 no connection, -2 a diverging epoch, else an error code.
		fault int16
	}
}

func (r *replicas) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialNode(ctx, r.b, network, address, r.fetch, r.disguise)
}

// fetch answers fetches that the broker is not to answer; nil: it is.
func (r *replicas) fetch(frame []byte, node int32) ([]byte, error) {
	if kmsg.Key(binary.BigEndian.Uint16(frame)) != kmsg.Fetch {
		return nil, nil
	}
	decoded, err := readRequest(frame)
	if err != nil {
		return nil, err
	}
	req := decoded.(*kmsg.FetchRequest)
	r.mu.Lock()
	defer r.mu.Unlock()
	var edit func(*kmsg.FetchResponseTopicPartition)
	switch {
	case node == 0 && req.Rack == "rack-1":
		r.mu.asked = append(r.mu.asked, "leader for rack-1")
		edit = func(p *kmsg.FetchResponseTopicPartition) { p.PreferredReadReplica = r.first.Load() + 1 }
	case node == 0:
		r.mu.asked = append(r.mu.asked, "leader")
		return nil, nil
	default:
		r.mu.asked = append(r.mu.asked, "replica")
		switch fault := r.mu.fault; fault {
		case 0:
			return nil, nil
		case -1:
			return nil, io.ErrClosedPipe
		case -2:
			edit = func(p *kmsg.FetchResponseTopicPartition) { p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = 0, 0 }
		default:
			edit = func(p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = fault }
		}
	}
	return respond(frame, answerFetch(req, edit)), nil
}

// disguise makes answers about metadata tell of two nodes with racks.
func (r *replicas) disguise(request, answer []byte) ([]byte, error) {
	return asTwoNodes(request, answer, func(resp *kmsg.MetadataResponse, first int32) {
		r.first.Store(first)
		for i := range resp.Brokers {
			resp.Brokers[i].Rack = kmsg.StringPtr(fmt.Sprintf("rack-%d", i))
		}
		electing := len(resp.Topics) > 0 && r.electing.Add(-1) >= 0
		for i := range resp.Topics {
			if electing {
				resp.Topics[i].ErrorCode, resp.Topics[i].Partitions = kerr.LeaderNotAvailable.Code, nil
			}
			for j := range resp.Topics[i].Partitions {
				p := &resp.Topics[i].Partitions[j]
				p.Replicas = []int32{p.Leader, p.Leader + 1}
			}
		}
	})
}

// set scripts the replica, and returns who was asked before, without repetitions.
func (r *replicas) set(fault int16) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := slices.Compact(r.mu.asked)
	r.mu.asked, r.mu.fault = nil, fault
	return asked
}

func startReplicas(t *testing.T) *replicas { return &replicas{b: brokertest.Start(t)} }

func (r *replicas) connect(t *testing.T, rack string) *Client {
	t.Helper()
	return connect(t, Config{Brokers: []string{"node-0:1"}, Dial: r.Dial, Rack: rack})
}

// readValues reads so many values.
func readValues(t *testing.T, f *testFetcher, n int) (values []string) {
	t.Helper()
	for len(values) < n {
		got := next(t, f, "records", func(got *Fetched) bool { return got.Batch != nil || got.Err != nil })
		if got.Err != nil {
			t.Fatal(got.Err)
		}
		values = append(values, drainBatch(t, &got)...)
	}
	return values
}

// The leader names the replica, which is asked from then on; what it cannot answer the leader is asked for, and nothing is lost or doubled
// (KIP-392).
func TestNearestReplica(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault int16
	}{
		{"it is behind", kerr.OffsetOutOfRange.Code},
		{"it has another epoch's records", -2},
		{"it has lost the partition", kerr.NotLeaderForPartition.Code},
		{"it cannot read", kerr.KafkaStorageError.Code},
		{"it is gone", -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := startReplicas(t)
			c := r.connect(t, "rack-1")
			tp := TopicPartition{Topic: createTopic(t, c, 1)}
			p := newProducer(t, c, ProducerConfig{})
			f := newFetcher(t, c, FetcherConfig{MaxWait: 10 * time.Millisecond})
			send(t, p, tp, "a", "b")
			flush(t, p)
			f.Add(tp, 0)
			if got := readValues(t, f, 2); !slices.Equal(got, []string{"a", "b"}) {
				t.Fatalf("read %q", got)
			}
			if asked := r.set(tc.fault); !slices.Equal(asked, []string{"leader for rack-1", "replica"}) {
				t.Errorf("asked %q", asked)
			}
			r.await(t, "leader")
			send(t, p, tp, "c")
			flush(t, p)
			if got := readValues(t, f, 1); !slices.Equal(got, []string{"c"}) {
				t.Fatalf("read %q", got)
			}
			// A replica that has failed is left alone, though the leader would name it again.
			if asked := r.set(0); !slices.Equal(asked, []string{"replica", "leader"}) {
				t.Errorf("after the fault, asked %q", asked)
			}
			f.mu.Lock()
			f.mu.feeds[tp].leaderUntil = time.Now()
			f.mu.Unlock()
			r.await(t, "replica")
			send(t, p, tp, "d")
			flush(t, p)
			if got := readValues(t, f, 1); !slices.Equal(got, []string{"d"}) {
				t.Fatalf("read %q", got)
			}
		})
	}
}

// What the leader says itself counts: an offset that it does not have is an error, as ever.
func TestNearestReplicaOutOfRange(t *testing.T) {
	t.Parallel()
	r := startReplicas(t)
	c := r.connect(t, "rack-1")
	tp := TopicPartition{Topic: createTopic(t, c, 1)}
	f := newFetcher(t, c, FetcherConfig{MaxWait: 10 * time.Millisecond})
	f.Add(tp, 17)
	got := next(t, f, "an error", func(got *Fetched) bool { return got.Err != nil })
	if _, ok := errors.AsType[*OutOfRangeError](got.Err); !ok {
		t.Errorf("got %v", got.Err)
	}
	if asked := r.set(0); !slices.Equal(asked, []string{"leader for rack-1", "replica", "leader"}) {
		t.Errorf("asked %q", asked)
	}
}

// A replica is asked for a while only, then the leader, which may have another in mind.
func TestNearestReplicaIsAskedForAWhile(t *testing.T) {
	t.Parallel()
	r := startReplicas(t)
	c := r.connect(t, "rack-1")
	tp := TopicPartition{Topic: createTopic(t, c, 1)}
	p := newProducer(t, c, ProducerConfig{})
	f := newFetcher(t, c, FetcherConfig{MaxWait: 10 * time.Millisecond})
	f.replicaAge = 50 * time.Millisecond
	f.Add(tp, 0)
	ctx := testContext(t)
	for i := 0; strings.Count(strings.Join(r.asked(), " "), "leader for rack-1") < 3; i++ {
		if ctx.Err() != nil {
			t.Fatalf("asked %q", slices.Compact(r.asked()))
		}
		send(t, p, tp, fmt.Sprint(i))
		flush(t, p)
		if got := readValues(t, f, 1); !slices.Equal(got, []string{fmt.Sprint(i)}) {
			t.Fatalf("read %q, want %d", got, i)
		}
	}
	if asked := r.set(0); !slices.Contains(asked, "replica") || slices.Contains(asked, "leader") {
		t.Errorf("asked %q", asked)
	}
}

// await waits until somebody is asked: the fetcher asks all the time.
func (r *replicas) await(t *testing.T, who string) {
	t.Helper()
	ctx := testContext(t)
	for !slices.Contains(r.asked(), who) {
		if ctx.Err() != nil {
			t.Fatalf("asked %q, never the %s", slices.Compact(r.asked()), who)
		}
		time.Sleep(time.Millisecond)
	}
}

func (r *replicas) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mu.asked)
}

// Without a rack, and where it is asked for, the leader is read.
func TestFromLeader(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rack       string
		fromLeader bool
	}{{"", false}, {"rack-1", true}} {
		r := startReplicas(t)
		c := r.connect(t, tc.rack)
		tp := TopicPartition{Topic: createTopic(t, c, 1)}
		p := newProducer(t, c, ProducerConfig{})
		send(t, p, tp, "a")
		flush(t, p)
		f := newFetcher(t, c, FetcherConfig{FromLeader: tc.fromLeader})
		f.Add(tp, 0)
		readValues(t, f, 1)
		if asked := r.set(0); !slices.Equal(asked, []string{"leader"}) {
			t.Errorf("%+v: asked %q", tc, asked)
		}
		if raw, err := c.ReadRecord(testContext(t), tp, 0); err != nil || raw == nil || string(raw.Value) != "a" {
			t.Errorf("%+v: read %+v, %v", tc, raw, err)
		}
		if asked := r.set(0); !slices.Equal(asked, []string{"leader"}) {
			t.Errorf("%+v: for one record, asked %q", tc, asked)
		}
	}
}

// A leader that names itself is read: it has answered.
func TestNearestReplicaIsTheLeader(t *testing.T) {
	t.Parallel()
	f := newFetcher(t, startReplicas(t).connect(t, "rack-1"), FetcherConfig{})
	p := kmsg.NewFetchResponseTopicPartition()
	p.PreferredReadReplica = 7
	f.mu.Lock()
	defer f.mu.Unlock()
	d := &feed{leader: PartitionLeader{7, 0}, replica: noLeader}
	if f.takeLocked(d, &p, 7); d.replica != noLeader || !d.known {
		t.Errorf("node %d is asked next, and the answer is taken: %v", d.node(), d.known)
	}
}

func TestRacks(t *testing.T) {
	t.Parallel()
	r := startReplicas(t)
	c := r.connect(t, "")
	topic := createTopic(t, c, 2)
	r.electing.Store(1) // is asked again, as everywhere: the error would end the application
	got, err := c.Racks(testContext(t), topic, "no-such-topic")
	if err != nil || len(got) != 2 || !slices.Equal(got[TopicPartition{Topic: topic, Partition: 1}], []string{"rack-0", "rack-1"}) {
		t.Errorf("got %v, %v", got, err)
	}
	c = connect(t, Config{Brokers: r.b.Brokers(), Dial: r.b.Dial}) // which has no rack
	if got, err = c.Racks(testContext(t), topic); err != nil || len(got[TopicPartition{Topic: topic}]) > 0 {
		t.Errorf("without racks, got %v, %v", got, err)
	}
}

// On a Kafka of several nodes with racks rack-1, rack-2 … and RackAwareReplicaSelector, what was written is read from a replica in the rack.
func TestNearestReplicaOnKafka(t *testing.T) {
	t.Parallel()
	address := os.Getenv("MILLRACE_KAFKA_RACKS")
	if address == "" {
		t.Skip("MILLRACE_KAFKA_RACKS=host:port,... does not name a Kafka with racks (.ci/kafka/kafka up DIR --nodes 3 --racks)")
	}
	c := connect(t, Config{Brokers: strings.Split(address, ",")})
	topic := unique("topic")
	if err := c.CreateTopics(testContext(t), NewTopic{Name: topic, Partitions: 3, ReplicationFactor: 3}); err != nil {
		t.Fatal(err)
	}
	racks, err := c.Racks(testContext(t), topic)
	if err != nil || !slices.Equal(racks[TopicPartition{Topic: topic, Partition: 2}], []string{"rack-1", "rack-2", "rack-3"}) {
		t.Fatalf("racks %v, %v", racks, err)
	}
	p := newProducer(t, c, ProducerConfig{})
	for _, rack := range []string{"rack-1", "rack-2", "rack-3"} {
		c := connect(t, Config{Brokers: strings.Split(address, ","), Rack: rack})
		f := newFetcher(t, c, FetcherConfig{})
		var want []string
		for n := range int32(3) {
			tp := TopicPartition{Topic: topic, Partition: n}
			end, err := c.ListOffsets(testContext(t), HighWatermark, []TopicPartition{tp})
			if err != nil {
				t.Fatal(err)
			}
			f.Add(tp, end[tp])
		}
		for i := range 30 {
			v := fmt.Sprintf("%s %d", rack, i)
			send(t, p, TopicPartition{Topic: topic, Partition: int32(i % 3)}, v)
			want = append(want, v)
		}
		flush(t, p)
		got := readValues(t, f, 30)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%s: read %q", rack, got)
		}
		f.mu.Lock()
		away := 0
		for _, d := range f.mu.feeds {
			if fmt.Sprintf("rack-%d", d.node()) != rack {
				t.Errorf("%s: partition %d is read from node %d", rack, d.tp.Partition, d.node())
			}
			if d.replica != noLeader {
				away++
			}
		}
		f.mu.Unlock()
		if away == 0 {
			t.Errorf("%s: no partition is read from a replica", rack)
		}
	}
}
