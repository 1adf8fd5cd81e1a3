package broker_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// TestProduceErrors: each partition has its own.
func TestProduceErrors(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	createTopic(t, cl, "t", 6)
	createCompacted(t, cl, "compacted")
	good := func() []byte { return rawBatch(-1, -1, -1, "v") }
	broken := good()
	broken[len(broken)-1]++
	transactional := setAttribute(rawBatch(5, 0, 0, "v"), 0x10)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 1000
	for _, p := range []struct {
		topic     string
		partition int32
		batch     []byte
	}{
		{"t", 0, good()}, {"t", 1, broken}, {"t", 2, nil}, {"t", 3, append(good(), good()...)}, {"t", 4, transactional},
		{"t", 6, good()}, {"nowhere", 0, good()}, {"compacted", 0, good()}, {"t", 5, good()},
	} {
		rt := kmsg.NewProduceRequestTopic()
		rt.Topic = p.topic
		rt.Partitions = []kmsg.ProduceRequestTopicPartition{{Partition: p.partition, Records: p.batch}}
		req.Topics = append(req.Topics, rt)
	}
	resp := ask[*kmsg.ProduceResponse](t, dialRaw(t, b), 9, req)
	for i, want := range []error{
		nil, kerr.CorruptMessage, kerr.InvalidRecord, kerr.InvalidRecord, kerr.TransactionalIDAuthorizationFailed, kerr.UnknownTopicOrPartition,
		kerr.UnknownTopicOrPartition, kerr.InvalidRecord, nil,
	} {
		p := resp.Topics[i].Partitions[0]
		if err := kerr.ErrorForCode(p.ErrorCode); !errors.Is(err, want) || (want == nil) != (p.BaseOffset == 0) {
			t.Errorf("%s/%d: %v, offset %d, want %v", resp.Topics[i].Topic, p.Partition, err, p.BaseOffset, want)
		}
	}
	if p := resp.Topics[7].Partitions[0]; len(p.ErrorRecords) != 1 || p.ErrorMessage == nil {
		t.Errorf("record without a key: %+v", p)
	}
	byID := produceRequest("", 0, good())
	byID.Topics[0].TopicID = [16]byte{9}
	if r := ask[*kmsg.ProduceResponse](t, dialRaw(t, b), 13, byID); r.Topics[0].Partitions[0].ErrorCode != kerr.UnknownTopicID.Code {
		t.Errorf("unknown id: %+v", r.Topics[0])
	}
	zstd := produceRequest("t", 0, setAttribute(good(), 4))
	if r := ask[*kmsg.ProduceResponse](t, dialRaw(t, b), 6, zstd); r.Topics[0].Partitions[0].ErrorCode != kerr.UnsupportedCompressionType.Code {
		t.Errorf("zstd of a client that does not know it: %+v", r.Topics[0])
	}
	for _, acks := range []int16{2, -2} {
		wrongAcks := produceRequest("t", 0, good())
		wrongAcks.Acks = acks
		if r := ask[*kmsg.ProduceResponse](t, dialRaw(t, b), 9, wrongAcks); r.Topics[0].Partitions[0].ErrorCode != kerr.InvalidRequiredAcks.Code {
			t.Errorf("acks=%d: %+v", acks, r.Topics[0])
		}
	}
}

// TestEveryBadRecordIsNamed: of a refused batch, all records that are at fault, each with its own fault; the code is that of the worst.
func TestEveryBadRecordIsNamed(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	cl := client(t, b)
	createCompacted(t, cl, "keyed")
	r, err := kadm.NewClient(cl).CreateTopic(testContext(t), 1, -1, map[string]*string{
		"cleanup.policy": kmsg.StringPtr("compact"), "message.timestamp.after.max.ms": kmsg.StringPtr("3600000"),
	}, "timed")
	if err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
	now := time.Now()
	for _, c := range []struct {
		topic string
		want  *kerr.Error
		at    []int32
		told  string
	}{{"keyed", kerr.InvalidRecord, []int32{1, 3}, "2 invalid records"}, {"timed", kerr.InvalidTimestamp, []int32{1, 2, 3}, "3 invalid records"}} {
		records := []keyedRecord{{key: "a"}, {}, {key: "b", ahead: 2 * time.Hour}, {}, {key: "c"}}
		resp := ask[*kmsg.ProduceResponse](t, dialRaw(t, b), 12, produceRequest(c.topic, 0, keyedBatch(now, records)))
		p := resp.Topics[0].Partitions[0]
		var at []int32
		for _, e := range p.ErrorRecords {
			at = append(at, e.RelativeOffset)
			if e.ErrorMessage == nil {
				t.Errorf("%s: record %d has no message", c.topic, e.RelativeOffset)
			}
		}
		if p.ErrorCode != c.want.Code || !slices.Equal(at, c.at) || p.ErrorMessage == nil || !strings.HasPrefix(*p.ErrorMessage, c.told) {
			t.Errorf("%s: %+v", c.topic, p)
		}
	}
}

// keyedRecord is a record of a batch to be made.
type keyedRecord struct {
	key   string // empty: null
	ahead time.Duration
}

// keyedBatch is rawBatch with keys and times.
func keyedBatch(now time.Time, all []keyedRecord) []byte {
	var records []byte
	latest := now
	for i, x := range all {
		r := kmsg.Record{OffsetDelta: int32(i), Value: []byte("v"), TimestampDelta64: x.ahead.Milliseconds()}
		if x.key != "" {
			r.Key = []byte(x.key)
		}
		if at := now.Add(x.ahead); at.After(latest) {
			latest = at
		}
		body := r.AppendTo(nil)
		r.Length = int32(len(body) - 1)
		records = r.AppendTo(records)
	}
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(len(all) - 1), FirstTimestamp: now.UnixMilli(), MaxTimestamp: latest.UnixMilli(),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(all)), Records: records,
	}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	return setAttribute(b.AppendTo(nil), 0)
}

func createCompacted(t testing.TB, cl *kgo.Client, topic string) {
	t.Helper()
	r, err := kadm.NewClient(cl).CreateTopic(testContext(t), 1, -1, map[string]*string{"cleanup.policy": kmsg.StringPtr("compact")}, topic)
	if err != nil || r.Err != nil {
		t.Fatal(err, r.Err)
	}
}

// TestAcks: acks=1 is answered, acks=0 is not, and a refusal closes its connection so that the client notices.
func TestAcks(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	createTopic(t, client(t, b), "t", 1)
	c := dialRaw(t, b)
	silent := produceRequest("t", 0, rawBatch(-1, -1, -1, "a"))
	silent.Acks = 0
	c.send(t, 9, silent)
	one := produceRequest("t", 0, rawBatch(-1, -1, -1, "b"))
	one.Acks = 1
	if r := ask[*kmsg.ProduceResponse](t, c, 9, one); r.Topics[0].Partitions[0].BaseOffset != 1 {
		t.Errorf("%+v", r.Topics[0])
	}
	refused := produceRequest("nowhere", 0, rawBatch(-1, -1, -1, "c"))
	refused.Acks = 0
	c.send(t, 9, refused)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after a refusal: %v", err)
	}
}

// TestPipelinedProduces: requests that are sent before the first answer are answered in order, with offsets in order.
func TestPipelinedProduces(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	createTopic(t, client(t, b), "t", 1)
	c := dialRaw(t, b)
	const n = 40
	go func() {
		for range n {
			c.send(t, 9, produceRequest("t", 0, rawBatch(-1, -1, -1, "v")))
		}
	}()
	for i := range int32(n) {
		resp := kmsg.NewPtrProduceResponse()
		resp.Version = 9
		c.receive(t, i+1, resp)
		if p := resp.Topics[0].Partitions[0]; p.BaseOffset != int64(i) {
			t.Fatalf("answer %d has offset %d", i, p.BaseOffset)
		}
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	createTopic(t, client(t, b), "t", 2)
	for range 3 {
		produceRaw(t, b, "t", rawBatch(-1, -1, -1, "a", "b", "c"))
	}
	size := len(rawBatch(-1, -1, -1, "a", "b", "c"))
	c := dialRaw(t, b)
	one := func(change func(*kmsg.FetchRequest)) kmsg.FetchResponseTopicPartition {
		t.Helper()
		req := fetchRequest("t", 0, 0)
		change(req)
		return ask[*kmsg.FetchResponse](t, c, 12, req).Topics[0].Partitions[0]
	}
	part := func(r *kmsg.FetchRequest) *kmsg.FetchRequestTopicPartition { return &r.Topics[0].Partitions[0] }
	if p := one(func(*kmsg.FetchRequest) {}); len(p.RecordBatches) != 3*size || p.HighWatermark != 9 || p.AbortedTransactions != nil {
		t.Errorf("all: %d bytes, %+v", len(p.RecordBatches), p)
	}
	if p := one(func(r *kmsg.FetchRequest) { part(r).FetchOffset = 4 }); len(p.RecordBatches) != 2*size {
		t.Errorf("from inside of a batch: %d bytes", len(p.RecordBatches))
	}
	if p := one(func(r *kmsg.FetchRequest) { part(r).PartitionMaxBytes = 1 }); len(p.RecordBatches) != size {
		t.Errorf("at least one batch: %d bytes", len(p.RecordBatches))
	}
	if p := one(func(r *kmsg.FetchRequest) { part(r).PartitionMaxBytes = int32(2*size + 1) }); len(p.RecordBatches) != 2*size {
		t.Errorf("whole batches: %d bytes", len(p.RecordBatches))
	}
	for _, offset := range []int64{-1, 10} {
		if p := one(func(r *kmsg.FetchRequest) { part(r).FetchOffset = offset }); p.ErrorCode != kerr.OffsetOutOfRange.Code || p.HighWatermark != -1 {
			t.Errorf("offset %d: %+v", offset, p)
		}
	}
	if p := one(func(r *kmsg.FetchRequest) { part(r).CurrentLeaderEpoch = 5 }); p.ErrorCode != kerr.UnknownLeaderEpoch.Code {
		t.Errorf("epoch from the future: %+v", p)
	}
	start := time.Now()
	if p := one(func(r *kmsg.FetchRequest) { part(r).FetchOffset, r.MaxWaitMillis = 9, 50 }); len(p.RecordBatches) != 0 || p.RecordBatches == nil || time.Since(start) < 50*time.Millisecond {
		t.Errorf("at the end: %+v after %v", p, time.Since(start))
	}

	// Every partition that is asked for appears, in order; after the first batch the limits are strict.
	req := fetchRequest("t", 0, 0)
	req.MaxBytes = 1
	second := kmsg.NewFetchRequestTopicPartition()
	second.Partition, second.PartitionMaxBytes = 1, 1<<20
	again := req.Topics[0].Partitions[0]
	req.Topics[0].Partitions = []kmsg.FetchRequestTopicPartition{second, again, again}
	r := ask[*kmsg.FetchResponse](t, c, 12, req)
	ps := r.Topics[0].Partitions
	if len(ps) != 3 || ps[0].Partition != 1 || len(ps[0].RecordBatches) != 0 || len(ps[1].RecordBatches) != size || len(ps[2].RecordBatches) != 0 {
		t.Errorf("three partitions: %+v", ps)
	}

}

// TestFetchWaitsForMinBytes: small appends do not end the wait before there are enough of them.
func TestFetchWaitsForMinBytes(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	createTopic(t, client(t, b), "t", 1)
	batch := rawBatch(-1, -1, -1, "v")
	req := fetchRequest("t", 0, 20*time.Second)
	req.MinBytes = int32(3 * len(batch))
	c := dialRaw(t, b)
	c.send(t, 12, req)
	for range 3 {
		produceRaw(t, b, "t", bytes.Clone(batch))
	}
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 12
	start := time.Now()
	c.receive(t, c.correlation, resp)
	if got := len(resp.Topics[0].Partitions[0].RecordBatches); got != 3*len(batch) || time.Since(start) > 10*time.Second {
		t.Errorf("%d bytes after %v", got, time.Since(start))
	}
}

// TestFetchWaitsForNothingElse: there is nothing to wait for if the answer has no room for more, or if no partition is asked for, as when
// a client ends its session.
func TestFetchWaitsForNothingElse(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	createTopic(t, client(t, b), "t", 1)
	for range 3 {
		produceRaw(t, b, "t", rawBatch(-1, -1, -1, "a", "b", "c"))
	}
	size := len(rawBatch(-1, -1, -1, "a", "b", "c"))
	c := dialRaw(t, b)
	for name, x := range map[string]struct {
		change func(*kmsg.FetchRequest)
		want   int
	}{
		"room for less": {func(r *kmsg.FetchRequest) { r.MaxBytes, r.MinBytes = int32(2*size+1), int32(2*size+1) }, 2 * size},
		"room in the partition for less": {func(r *kmsg.FetchRequest) {
			r.MinBytes, r.Topics[0].Partitions[0].PartitionMaxBytes = int32(2*size+1), int32(2*size+1)
		}, 2 * size},
		"no room for the second's": {func(r *kmsg.FetchRequest) {
			r.MaxBytes, r.MinBytes, r.Topics[0].Partitions[0].FetchOffset = int32(2*size-1), int32(2*size-1), 6
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
		}, size},
		"more wanted than fits": {func(r *kmsg.FetchRequest) { r.MaxBytes, r.MinBytes = int32(3*size), 1<<31-1 }, 3 * size},
		"no partition":          {func(r *kmsg.FetchRequest) { r.Topics, r.SessionEpoch = nil, -1 }, 0},
	} {
		req := fetchRequest("t", 0, 20*time.Second)
		x.change(req)
		start, got := time.Now(), 0
		for _, rt := range ask[*kmsg.FetchResponse](t, c, 12, req).Topics {
			for _, p := range rt.Partitions {
				got += len(p.RecordBatches)
			}
		}
		if got != x.want || time.Since(start) > 10*time.Second {
			t.Errorf("%s: %d bytes after %v, want %d at once", name, got, time.Since(start), x.want)
		}
	}
}

func TestListOffsets(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b, kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	createTopic(t, cl, "t", 1)
	// Markers have the broker's time, and are found by it as in Kafka: these records come later.
	base := time.Now().Add(time.Hour).UnixMilli()
	at := func(ms int64) *kgo.Record {
		return &kgo.Record{Topic: "t", Timestamp: time.UnixMilli(base + ms), Value: []byte("v")}
	}
	transact(t, cl, kgo.TryCommit, at(1000), at(3000), at(2000)) // 0-2, marker 3
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(testContext(t), at(4000)).FirstErr(); err != nil { // 4, open
		t.Fatal(err)
	}
	c := dialRaw(t, b)
	for _, q := range []struct {
		timestamp int64
		isolation int8
		offset    int64
		found     int64
	}{
		{-1, 0, 5, -1}, {-1, 1, 4, -1}, {-2, 0, 0, -1}, {-4, 0, 0, -1}, {-5, 0, -1, -1},
		{1000, 0, 0, 1000}, {1001, 0, 1, 3000}, {3000, 0, 1, 3000}, {3001, 0, 4, 4000}, {3001, 1, -1, -1}, {9000, 0, -1, -1},
		{-3, 0, 4, 4000}, {-3, 1, 1, 3000},
	} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.IsolationLevel = q.isolation
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = "t"
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		if rp.Timestamp = q.timestamp; rp.Timestamp >= 0 {
			rp.Timestamp += base
		}
		if q.found >= 0 {
			q.found += base
		}
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		p := ask[*kmsg.ListOffsetsResponse](t, c, 9, req).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || p.Offset != q.offset || p.Timestamp != q.found {
			t.Errorf("timestamp %d isolation %d: %+v", q.timestamp, q.isolation, p)
		}
	}
	if err := cl.EndTransaction(testContext(t), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
}
