package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// twoNodes makes the embedded broker look like a cluster of two: all partitions are led by one of them, the other says that it is not the
// leader, and metadata says who is.
type twoNodes struct {
	b       *brokertest.Broker
	first   atomic.Int32    // node id, of the broker itself
	leads   atomic.Int32    // 0 or 1
	stale   atomic.Int32    // how many more answers about metadata show the other one as the leader
	refused [2]atomic.Int32 // Produce, Fetch
}

func (n *twoNodes) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var node int32
	if _, err := fmt.Sscanf(address, "node-%d:1", &node); err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	up, err := n.b.Dial(ctx, network, n.b.Brokers()[0])
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	go func() {
		defer func() { _, _ = far.Close(), up.Close() }() // whoever waits sees the end
		_ = n.serve(far, up, node)                        // the end of a connection
	}()
	return near, nil
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// serve answers the requests of one connection, one after the other.
func (n *twoNodes) serve(client, up io.ReadWriter, node int32) error {
	for {
		request, err := readFrame(client)
		if err != nil {
			return err
		}
		answer, err := n.refuse(request, node)
		if err == nil && answer == nil {
			if err = writeFrame(up, request); err != nil {
				return err
			}
			if answer, err = readFrame(up); err == nil {
				answer, err = n.disguise(request, answer)
			}
		}
		if err != nil {
			return err
		}
		if err := writeFrame(client, answer); err != nil {
			return err
		}
	}
}

// refuse answers what only the leader does, if node is not the leader. nil: the broker is to be asked.
func (n *twoNodes) refuse(frame []byte, node int32) ([]byte, error) {
	key := kmsg.Key(binary.BigEndian.Uint16(frame))
	if node == n.leads.Load() || key != kmsg.Produce && key != kmsg.Fetch {
		return nil, nil
	}
	req := kmsg.RequestForKey(key.Int16())
	req.SetVersion(int16(binary.BigEndian.Uint16(frame[2:])))
	r := kbin.Reader{Src: frame[8:]}
	r.NullableString() // client id
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	if err := errors.Join(r.Complete(), req.ReadFrom(r.Src)); err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		n.refused[0].Add(1)
		resp := resp.(*kmsg.ProduceResponse)
		for _, rt := range req.Topics {
			t := kmsg.NewProduceResponseTopic()
			t.Topic, t.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition, p.ErrorCode, p.BaseOffset = rp.Partition, kerr.NotLeaderForPartition.Code, -1
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	case *kmsg.FetchRequest:
		n.refused[1].Add(1)
		resp := resp.(*kmsg.FetchResponse)
		for _, rt := range req.Topics {
			t := kmsg.NewFetchResponseTopic()
			t.Topic, t.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				p := kmsg.NewFetchResponseTopicPartition()
				p.Partition, p.ErrorCode = rp.Partition, kerr.NotLeaderForPartition.Code
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
	return respond(frame, resp), nil
}

func respond(request []byte, resp kmsg.Response) []byte {
	b := slices.Clone(request[4:8]) // correlation id
	if resp.IsFlexible() {
		b = append(b, 0)
	}
	return resp.AppendTo(b)
}

// disguise makes answers about metadata tell of two nodes.
func (n *twoNodes) disguise(request, answer []byte) ([]byte, error) {
	if kmsg.Key(binary.BigEndian.Uint16(request)) != kmsg.Metadata {
		return answer, nil
	}
	resp := kmsg.NewPtrMetadataResponse()
	resp.SetVersion(int16(binary.BigEndian.Uint16(request[2:])))
	header := 4
	if resp.IsFlexible() {
		header++
	}
	if err := resp.ReadFrom(answer[header:]); err != nil {
		return nil, err
	}
	n.first.Store(resp.Brokers[0].NodeID)
	resp.Brokers = append(resp.Brokers, resp.Brokers[0])
	for i := range resp.Brokers {
		b := &resp.Brokers[i]
		b.NodeID, b.Host, b.Port = n.first.Load()+int32(i), fmt.Sprintf("node-%d", i), 1
	}
	leader := n.leads.Load()
	if n.stale.Add(-1) >= 0 {
		leader = 1 - leader
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			resp.Topics[i].Partitions[j].Leader = n.first.Load() + leader
		}
	}
	return respond(request, resp), nil
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
