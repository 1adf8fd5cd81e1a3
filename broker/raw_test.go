package broker_test

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// rawConn is a connection that speaks exactly the bytes it is told to.
type rawConn struct {
	net.Conn
	correlation int32
}

func dialRaw(t testing.TB, b *brokertest.Broker) *rawConn {
	t.Helper()
	c, err := b.Dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	return rawOn(t, c)
}

// dialAddr connects over TCP.
func dialAddr(t testing.TB, addr string) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return rawOn(t, c)
}

func rawOn(t testing.TB, c net.Conn) *rawConn {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() }) // the broker may have closed it
	if err := c.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	return &rawConn{Conn: c}
}

// send writes req at version.
func (c *rawConn) send(t testing.TB, version int16, req kmsg.Request) {
	t.Helper()
	req.SetVersion(version)
	c.correlation++
	if _, err := c.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, req, c.correlation)); err != nil {
		t.Fatalf("key %d: %v", req.Key(), err)
	}
}

// receive reads the response to correlation id.
func (c *rawConn) receive(t testing.TB, correlation int32, resp kmsg.Response) {
	t.Helper()
	body := c.frame(t)
	if got := int32(binary.BigEndian.Uint32(body)); got != correlation {
		t.Fatalf("answer to %d, want %d", got, correlation)
	}
	body = body[4:]
	if resp.IsFlexible() && resp.Key() != 18 {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		t.Fatalf("response of key %d version %d: %v", resp.Key(), resp.GetVersion(), err)
	}
}

// frame reads one frame without its length.
func (c *rawConn) frame(t testing.TB) []byte {
	t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return body
}

// ask sends req at version and returns the response.
func ask[R kmsg.Response](t testing.TB, c *rawConn, version int16, req kmsg.Request) R {
	t.Helper()
	c.send(t, version, req)
	resp := req.ResponseKind()
	resp.SetVersion(version)
	c.receive(t, c.correlation, resp)
	return resp.(R)
}

func initIdempotent(t testing.TB, b *brokertest.Broker) *kmsg.InitProducerIDResponse {
	t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis = 60_000
	resp := ask[*kmsg.InitProducerIDResponse](t, dialRaw(t, b), 4, req)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		t.Fatal(err)
	}
	return resp
}

// rawBatch encodes one record batch.
func rawBatch(producerID int64, epoch int16, sequence int32, values ...string) []byte {
	var records []byte
	for i, v := range values {
		r := kmsg.Record{OffsetDelta: int32(i), Value: []byte(v)}
		body := r.AppendTo(nil)
		r.Length = int32(len(body) - 1) // the length itself took one byte while it was 0
		records = r.AppendTo(records)
	}
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(len(values) - 1),
		ProducerID: producerID, ProducerEpoch: epoch, FirstSequence: sequence, NumRecords: int32(len(values)), Records: records,
	}
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12)
	raw = b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// produceRequest asks for one batch to be appended, by name: version 12.
func produceRequest(topic string, partition int32, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, batch
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// produceRaw appends a batch to partition 0 and returns its base offset.
func produceRaw(t testing.TB, b *brokertest.Broker, topic string, batch []byte) int64 {
	t.Helper()
	resp := ask[*kmsg.ProduceResponse](t, dialRaw(t, b), 12, produceRequest(topic, 0, batch))
	p := resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		t.Fatal(err)
	}
	return p.BaseOffset
}

// setAttribute sets bits of a batch's attributes and makes its checksum true.
func setAttribute(raw []byte, bits byte) []byte {
	raw[22] |= bits
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}
