package client

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// colliding is the broker as Kafka is: a batch that is the first of its transaction for a partition is refused if offsets come beside it. It gives
// them time for that.
type colliding struct {
	b       *brokertest.Broker
	patient time.Duration
	refused atomic.Int32
	offsets chan struct{} // holds one
}

func (c *colliding) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialNode(ctx, c.b, network, address, c.instead, func(request, answer []byte) ([]byte, error) {
		return asTwoNodes(request, answer, func(*kmsg.MetadataResponse, int32) {})
	})
}

func (c *colliding) instead(request []byte, _ int32) ([]byte, error) {
	switch kmsg.Key(binary.BigEndian.Uint16(request)) {
	case kmsg.TxnOffsetCommit:
		select {
		case c.offsets <- struct{}{}:
		default:
		}
	case kmsg.Produce:
		select {
		case <-c.offsets:
		case <-time.After(c.patient):
			return nil, nil
		}
		c.refused.Add(1)
		req, err := readRequest(request)
		if err != nil {
			return nil, err
		}
		return respond(request, refuseBatches(req.(*kmsg.ProduceRequest), kerr.NotEnoughReplicas.Code)), nil
	}
	return nil, nil
}

// A log that refuses a batch for the sake of the offsets beside it does so once: from then on they come after the batches.
func TestOffsetsAfterBatches(t *testing.T) {
	t.Parallel()
	log := &colliding{b: brokertest.Start(t), patient: 100 * time.Millisecond, offsets: make(chan struct{}, 1)}
	c := connect(t, Config{Brokers: []string{"node-0:1"}, Dial: log.Dial})
	tp := TopicPartition{Topic: createTopic(t, c, 1)}
	p := newProducer(t, c, ProducerConfig{TransactionalID: "id"})
	group := Identity{Group: "group", Generation: -1}
	for i := range 3 {
		send(t, p, tp, fmt.Sprint(i))
		offsets := map[TopicPartition]Committed{tp: {Offset: int64(i), LeaderEpoch: -1}}
		if err := p.CommitOffsets(testContext(t), group, offsets); err != nil {
			t.Fatal(err)
		}
		flush(t, p)
		end(t, p, true)
		select { // of a transaction whose batches were answered before
		case <-log.offsets:
		default:
		}
	}
	if n := log.refused.Load(); n != 1 {
		t.Errorf("%d batches met offsets, want the first", n)
	}
	if got := read(t, c, FetcherConfig{}, tp, 0, 3); !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("got %v", got)
	}
}
