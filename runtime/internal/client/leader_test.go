package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// twoNodes makes the embedded broker look like a cluster of two: all partitions are led by one of them, the other says that it is not the
// leader, and metadata says who is.
type twoNodes struct {
	b       *brokertest.Broker
	leads   atomic.Int32    // 0 or 1
	stale   atomic.Int32    // how many more answers about metadata show the other one as the leader
	refused [2]atomic.Int32 // Produce, Fetch
}

func (n *twoNodes) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialNode(ctx, n.b, network, address, n.refuse, n.disguise)
}

// refuse answers what only the leader does, if node is not the leader. nil: the broker is to be asked.
func (n *twoNodes) refuse(frame []byte, node int32) ([]byte, error) {
	key := kmsg.Key(binary.BigEndian.Uint16(frame))
	if node == n.leads.Load() || key != kmsg.Produce && key != kmsg.Fetch {
		return nil, nil
	}
	req, err := readRequest(frame)
	if err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		n.refused[0].Add(1)
		resp = refuseBatches(req, kerr.NotLeaderForPartition.Code)
	case *kmsg.FetchRequest:
		n.refused[1].Add(1)
		resp = answerFetch(req, func(p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = kerr.NotLeaderForPartition.Code })
	}
	return respond(frame, resp), nil
}

// disguise makes answers about metadata tell of two nodes.
func (n *twoNodes) disguise(request, answer []byte) ([]byte, error) {
	return asTwoNodes(request, answer, func(resp *kmsg.MetadataResponse, first int32) {
		leader := n.leads.Load()
		if n.stale.Add(-1) >= 0 {
			leader = 1 - leader
		}
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				resp.Topics[i].Partitions[j].Leader = first + leader
			}
		}
	})
}

// A topic whose leaders the log does not tell for good ends with what the log says; partitions of others are read all the same.
func TestHiddenTopic(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	open := connect(t, Config{Brokers: b.Brokers(), Dial: b.Dial})
	hidden, shown := TopicPartition{Topic: createTopic(t, open, 1)}, TopicPartition{Topic: createTopic(t, open, 1)}
	p := newProducer(t, open, ProducerConfig{})
	send(t, p, shown, "v")
	flush(t, p)
	hide := func(request, answer []byte) ([]byte, error) {
		return asTwoNodes(request, answer, func(resp *kmsg.MetadataResponse, _ int32) {
			for i := range resp.Topics {
				if rt := &resp.Topics[i]; *rt.Topic == hidden.Topic {
					rt.ErrorCode, rt.Partitions = kerr.TopicAuthorizationFailed.Code, nil
				}
			}
		})
	}
	c := connect(t, Config{Brokers: []string{"node-0:1"}, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialNode(ctx, b, network, address, func([]byte, int32) ([]byte, error) { return nil, nil }, hide)
	}})
	f := newFetcher(t, c, FetcherConfig{})
	f.Add(hidden, 0)
	f.Add(shown, 0)
	got := next(t, f, "the hidden one", func(n *Fetched) bool { return n.Err != nil })
	if got.TopicPartition != hidden || !errors.Is(got.Err, kerr.TopicAuthorizationFailed) || ClassOf(got.Err) != ClassFatal {
		t.Errorf("got %+v (%v)", got, ClassOf(got.Err))
	}
	f.Remove(hidden)
	f.Add(shown, 0)
	if values := readValues(t, f, 1); !slices.Equal(values, []string{"v"}) {
		t.Errorf("read %q", values)
	}
}

// Leaders that move are found again by producers, in the middle of a transaction too, and by fetchers, even where the metadata lags behind;
// nothing is lost, doubled or out of order.
func TestLeaderMoves(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "id"} {
		t.Run("transactional id "+id, func(t *testing.T) {
			t.Parallel()
			nodes := &twoNodes{b: brokertest.Start(t)}
			c := connect(t, Config{Brokers: []string{"node-0:1"}, Dial: nodes.Dial})
			topic := createTopic(t, c, 2)
			a, b := TopicPartition{Topic: topic, Partition: 0}, TopicPartition{Topic: topic, Partition: 1}
			p := newProducer(t, c, ProducerConfig{TransactionalID: id})
			f := newFetcher(t, c, FetcherConfig{})
			f.Add(a, 0)
			f.Add(b, 0)
			want, got := map[int32][]string{}, map[int32][]string{}
			for i := range 6 {
				for k := range 3 {
					v := fmt.Sprintf("%d.%d", i, k)
					send(t, p, a, v)
					send(t, p, b, v, v+" too")
					want[0], want[1] = append(want[0], v), append(want[1], v, v+" too")
					if k == i%3 { // before, between and behind what is sent
						nodes.stale.Store(int32(i % 2))
						nodes.leads.Store(1 - nodes.leads.Load())
					}
				}
				flush(t, p)
				end(t, p, true)
				for len(got[0]) < len(want[0]) || len(got[1]) < len(want[1]) {
					n := next(t, f, "records", func(n *Fetched) bool { return n.Batch != nil || n.Err != nil })
					if n.Err != nil {
						t.Fatal(n.Err)
					}
					got[n.Partition] = append(got[n.Partition], drainBatch(t, &n)...)
				}
			}
			for i := range int32(2) {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("partition %d: got %q", i, got[i])
				}
			}
			if nodes.refused[0].Load() == 0 || nodes.refused[1].Load() == 0 {
				t.Errorf("%d produce and %d fetch requests were refused: this tests nothing", nodes.refused[0].Load(), nodes.refused[1].Load())
			}
		})
	}
}
