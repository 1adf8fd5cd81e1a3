package broker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// TestTransactionsAreAtomicOverCrashes cuts the power at many moments of a run of transactions, each of which writes to two
// partitions and commits the offset of a third. Whatever survives, the three agree, and nothing acknowledged is missing.
func TestTransactionsAreAtomicOverCrashes(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	cl := client(t, b)
	createTopic(t, cl, "in", 1)
	createTopic(t, cl, "out", 2)
	init := initProducer(t, cl, "tx", time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	var acknowledged atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, p := dialRaw(t, b), producer{init.ProducerID, init.ProducerEpoch}
		for n := int64(1); ctx.Err() == nil; n++ {
			p = transactRaw(t, c, p, n)
			acknowledged.Store(n)
		}
	}()
	for i := range 15 {
		seen := acknowledged.Load()
		eventually(t, "progress", func() bool { return acknowledged.Load() > seen })
		least := acknowledged.Load()
		crashed := b.Crash(t, i%3*50, uint64(i))
		checkAtomic(t, crashed, least)
		if err := crashed.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	cancel()
	<-done
	t.Logf("%d transactions, 15 crashes", acknowledged.Load())
}

// transactRaw runs the n-th transaction: value n to both partitions, and offset n. It returns the next producer.
func transactRaw(t testing.TB, c *rawConn, p producer, n int64) producer {
	for partition := range int32(2) {
		req := produceRequest("out", partition, setAttribute(rawBatch(p.id, p.epoch, 0, fmt.Sprint(n)), 0x10))
		req.TransactionID = kmsg.StringPtr("tx")
		r := ask[*kmsg.ProduceResponse](t, c, 12, req)
		if err := kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode); err != nil {
			t.Errorf("produce %d: %v", n, err)
		}
	}
	offsets := kmsg.NewPtrTxnOffsetCommitRequest()
	offsets.TransactionalID, offsets.Group, offsets.ProducerID, offsets.ProducerEpoch, offsets.Generation = "tx", "g", p.id, p.epoch, -1
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic = "in"
	rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	rp.Offset = n
	rt.Partitions = append(rt.Partitions, rp)
	offsets.Topics = append(offsets.Topics, rt)
	if r := ask[*kmsg.TxnOffsetCommitResponse](t, c, 5, offsets); r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("offsets %d: %v", n, kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode))
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = "tx", p.id, p.epoch, true
	r := ask[*kmsg.EndTxnResponse](t, c, 5, end)
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		t.Errorf("end %d: %v", n, err)
	}
	return producer{r.ProducerID, r.ProducerEpoch}
}

// checkAtomic ends what is open, and compares the two partitions and the offset.
func checkAtomic(t testing.TB, b *brokertest.Broker, least int64) {
	t.Helper()
	cl := client(t, b)
	defer cl.Close()
	initProducer(t, cl, "tx", time.Minute)
	at, err := fetchOffset(t, cl, "g", "in")
	if err != nil {
		t.Fatal(err)
	}
	if at < least {
		t.Errorf("offset %d, %d was acknowledged", at, least)
	}
	reader := client(t, b, kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer reader.Close()
	last := map[string]int{}
	for _, v := range consume(t, reader, int(2*at)) {
		last[v]++
	}
	for n := int64(1); n <= at; n++ {
		if last[fmt.Sprint(n)] != 2 {
			t.Errorf("transaction %d of %d is on %d partitions", n, at, last[fmt.Sprint(n)])
		}
	}
}
