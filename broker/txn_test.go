package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

func committedReader(t testing.TB, b *brokertest.Broker, topic string) *kgo.Client {
	return client(t, b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

func transact(t testing.TB, cl *kgo.Client, commit kgo.TransactionEndTry, rs ...*kgo.Record) {
	t.Helper()
	ctx := testContext(t)
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(ctx, rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := cl.EndTransaction(ctx, commit); err != nil {
		t.Fatal(err)
	}
}

func TestTransactionsAbortAndCommit(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b, kgo.TransactionalID("tx"))
	createTopic(t, cl, "t", 4)
	transact(t, cl, kgo.TryCommit, numbered("t", 0, 50)...)
	transact(t, cl, kgo.TryAbort, numbered("t", 50, 100)...)
	transact(t, cl, kgo.TryCommit, numbered("t", 100, 150)...)
	got := consume(t, committedReader(t, b, "t"), 100)
	want := append(numberedValues("t", 0, 50), numberedValues("t", 100, 150)...)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("visible: %q", got)
	}
}

// TestReadCommittedWakesUp: a read_committed fetch that waits at the last stable offset goes on when the transaction ends,
// not at its time-out.
func TestReadCommittedWakesUp(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b, kgo.TransactionalID("tx"))
	createTopic(t, cl, "t", 1)
	reader := client(t, b, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(20*time.Second))
	got := make(chan []string, 1)
	go func() { got <- consume(t, reader, 1) }()
	start := time.Now()
	transact(t, cl, kgo.TryAbort, numbered("t", 0, 1)...)
	transact(t, cl, kgo.TryCommit, numbered("t", 1, 2)...)
	if v := <-got; v[0] != "t-1" {
		t.Errorf("got %q", v)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

// raw sends one request and returns its response.
func raw[R kmsg.Response](t testing.TB, cl *kgo.Client, req kmsg.Request) R {
	t.Helper()
	resp, err := cl.Request(testContext(t), req)
	if err != nil {
		t.Fatalf("key %d: %v", req.Key(), err)
	}
	return resp.(R)
}

func initProducer(t testing.TB, cl *kgo.Client, id string, timeout time.Duration) *kmsg.InitProducerIDResponse {
	t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &id, int32(timeout.Milliseconds())
	resp := raw[*kmsg.InitProducerIDResponse](t, cl, req)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		t.Fatalf("init producer %s: %v", id, err)
	}
	return resp
}

type producer struct {
	id    int64
	epoch int16
}

func txnCommitOffset(t testing.TB, cl *kgo.Client, txnID string, p producer, group, member string, generation int32, topic string, at int64) error {
	t.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = txnID, group, p.id, p.epoch
	req.MemberID, req.Generation = member, generation
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	rp.Offset, rp.Metadata = at, kmsg.StringPtr(fmt.Sprintf("at %d", at))
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp := raw[*kmsg.TxnOffsetCommitResponse](t, cl, req)
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

func endTxn(t testing.TB, cl *kgo.Client, txnID string, p producer, commit bool) (producer, error) {
	t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = txnID, p.id, p.epoch, commit
	resp := raw[*kmsg.EndTxnResponse](t, cl, req)
	return producer{resp.ProducerID, resp.ProducerEpoch}, kerr.ErrorForCode(resp.ErrorCode)
}

// fetchOffset returns the committed offset of partition 0, asking for a stable one.
func fetchOffset(t testing.TB, cl *kgo.Client, group, topic string) (int64, error) {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	rg := kmsg.NewOffsetFetchRequestGroup()
	rg.Group = group
	rt := kmsg.NewOffsetFetchRequestGroupTopic()
	rt.Topic, rt.Partitions = topic, []int32{0}
	meta, err := kadm.NewClient(cl).ListTopics(testContext(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	rt.TopicID = meta[topic].ID
	rg.Topics = append(rg.Topics, rt)
	req.Groups = append(req.Groups, rg)
	resp := raw[*kmsg.OffsetFetchResponse](t, cl, req)
	p := resp.Groups[0].Topics[0].Partitions[0]
	return p.Offset, kerr.ErrorForCode(p.ErrorCode)
}

// TestOffsetsOnlyTransaction commits a transaction that holds nothing but offsets, by raw requests of transaction version 2.
func TestOffsetsOnlyTransaction(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	createTopic(t, cl, "in", 1)
	init := initProducer(t, cl, "tx", time.Minute)
	p := producer{init.ProducerID, init.ProducerEpoch}
	if err := txnCommitOffset(t, cl, "tx", p, "g", "", -1, "in", 7); err != nil {
		t.Fatal(err)
	}
	if _, err := fetchOffset(t, cl, "g", "in"); !errors.Is(err, kerr.UnstableOffsetCommit) {
		t.Errorf("before the end: %v", err)
	}
	next, err := endTxn(t, cl, "tx", p, true)
	if err != nil || next != (producer{p.id, p.epoch + 1}) {
		t.Fatalf("end: %v, %v", next, err)
	}
	if at, err := fetchOffset(t, cl, "g", "in"); at != 7 || err != nil {
		t.Errorf("after the end: %d, %v", at, err)
	}
	// The same request again is a retry; the other decision is not; and it cannot touch the next transaction.
	if again, err := endTxn(t, cl, "tx", p, true); again != next || err != nil {
		t.Errorf("retry: %v, %v", again, err)
	}
	if _, err := endTxn(t, cl, "tx", p, false); !errors.Is(err, kerr.InvalidTxnState) {
		t.Errorf("other decision: %v", err)
	}
	if err := txnCommitOffset(t, cl, "tx", next, "g", "", -1, "in", 9); err != nil {
		t.Fatal(err)
	}
	if _, err := endTxn(t, cl, "tx", p, true); !errors.Is(err, kerr.ProducerFenced) {
		t.Errorf("late end: %v", err)
	}
	if _, err := endTxn(t, cl, "tx", next, false); err != nil {
		t.Fatal(err)
	}
	if at, err := fetchOffset(t, cl, "g", "in"); at != 7 || err != nil {
		t.Errorf("after an abort: %d, %v", at, err)
	}
	if err := txnCommitOffset(t, cl, "tx", producer{next.id, next.epoch + 1}, "g", "nobody", 3, "in", 9); !errors.Is(err, kerr.UnknownMemberID) && !errors.Is(err, kerr.IllegalGeneration) {
		t.Errorf("stale generation: %v", err)
	}
}

// TestZombieIsFenced: a successor with the same transactional id aborts what its predecessor left open, and fences it.
func TestZombieIsFenced(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	ctx := testContext(t)
	zombie := client(t, b, kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	createTopic(t, zombie, "t", 2)
	if err := zombie.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := zombie.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("zombie")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	id, epoch, err := zombie.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}

	successor := client(t, b, kgo.TransactionalID("tx"))
	transact(t, successor, kgo.TryCommit, &kgo.Record{Topic: "t", Value: []byte("successor")})

	for partition := range int32(2) {
		err := zombie.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: partition, Value: []byte("late")}).FirstErr()
		if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) {
			t.Errorf("late produce to %d: %v", partition, err)
		}
	}
	if _, err := endTxn(t, successor, "tx", producer{id, epoch}, true); !errors.Is(err, kerr.ProducerFenced) {
		t.Errorf("late end: %v", err)
	}
	if got := consume(t, committedReader(t, b, "t"), 1); got[0] != "successor" {
		t.Errorf("visible: %q", got)
	}
}

// TestTimedOutTransaction: the broker aborts, and the client's commit fails.
func TestTimedOutTransaction(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	createTopic(t, cl, "in", 1)
	init := initProducer(t, cl, "tx", 50*time.Millisecond)
	p := producer{init.ProducerID, init.ProducerEpoch}
	if err := txnCommitOffset(t, cl, "tx", p, "g", "", -1, "in", 7); err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	for {
		at, err := fetchOffset(t, cl, "g", "in")
		if err == nil {
			if at != -1 {
				t.Errorf("offset %d", at)
			}
			break
		}
		if !errors.Is(err, kerr.UnstableOffsetCommit) || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	if _, err := endTxn(t, cl, "tx", p, true); !errors.Is(err, kerr.ProducerFenced) {
		t.Errorf("end after the time-out: %v", err)
	}
}

// TestGroupTransactSession copies a topic with the client library's own loop, by two members.
func TestGroupTransactSession(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b)
	createTopic(t, cl, "from", 4)
	createTopic(t, cl, "to", 4)
	const n = 500
	if err := cl.ProduceSync(testContext(t), numbered("from", 0, n)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	done := make(chan error, 2)
	stop := make(chan struct{})
	for i := range 2 {
		go func() { done <- copyLoop(t, b, fmt.Sprintf("copy-%d", i), stop) }()
	}
	got := consume(t, committedReader(t, b, "to"), n)
	close(stop)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != n {
		t.Errorf("%d distinct records of %d", len(got), n)
	}
	offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, "copiers")
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { total += o.At })
	if total != n {
		t.Errorf("committed offsets add up to %d", total)
	}
}

// TestProduceOutsideOfTransaction: to a partition that was not added, and without the transaction that is open. The first can be
// mended by an abort, as clients of version 11 are told; the second is a fault of the client.
func TestProduceOutsideOfTransaction(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	cl := client(t, b)
	createTopic(t, cl, "t", 2)
	init := initProducer(t, cl, "tx", time.Minute)
	c := dialRaw(t, b)
	produce := func(version int16, partition int32, transactional bool) int16 {
		t.Helper()
		batch := rawBatch(init.ProducerID, init.ProducerEpoch, 0, "v")
		if transactional {
			batch = setAttribute(batch, 0x10)
		}
		req := produceRequest("t", partition, batch)
		req.TransactionID = kmsg.StringPtr("tx")
		return ask[*kmsg.ProduceResponse](t, c, version, req).Topics[0].Partitions[0].ErrorCode
	}
	add := func(partitions ...int32) []kmsg.AddPartitionsToTxnResponseTopicPartition {
		t.Helper()
		return ask[*kmsg.AddPartitionsToTxnResponse](t, c, 3, &kmsg.AddPartitionsToTxnRequest{
			TransactionalID: "tx", ProducerID: init.ProducerID, ProducerEpoch: init.ProducerEpoch,
			Topics: []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: partitions}},
		}).Topics[0].Partitions
	}
	// All or none.
	if r := add(0, 9); r[0].ErrorCode != kerr.OperationNotAttempted.Code || r[1].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("one is not there: %+v", r)
	}
	if r := add(1); r[0].ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	for _, q := range []struct {
		version       int16
		partition     int32
		transactional bool
		want          error
	}{
		{10, 0, true, kerr.InvalidTxnState}, {11, 0, true, kerr.TransactionAbortable}, {12, 0, true, nil},
		{10, 1, false, kerr.InvalidTxnState}, {11, 1, false, kerr.InvalidTxnState}, {12, 1, false, kerr.InvalidTxnState},
		{11, 1, true, nil},
	} {
		if err := kerr.ErrorForCode(produce(q.version, q.partition, q.transactional)); !errors.Is(err, q.want) {
			t.Errorf("version %d to partition %d, transactional %v: %v, want %v", q.version, q.partition, q.transactional, err, q.want)
		}
	}
}

// TestOffsetsOutsideOfTransaction: before version 5 the group has to be added first.
func TestOffsetsOutsideOfTransaction(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	cl := client(t, b)
	createTopic(t, cl, "t", 1)
	init := initProducer(t, cl, "tx", time.Minute)
	p := producer{init.ProducerID, init.ProducerEpoch}
	c := dialRaw(t, b)
	for version, want := range map[int16]error{2: kerr.InvalidTxnState, 3: kerr.InvalidTxnState, 4: kerr.TransactionAbortable} {
		if err := commitOffsetIn(t, c, version, "tx", p); !errors.Is(err, want) {
			t.Errorf("version %d: %v, want %v", version, err, want)
		}
	}
	r := ask[*kmsg.AddOffsetsToTxnResponse](t, c, 3, &kmsg.AddOffsetsToTxnRequest{TransactionalID: "tx", ProducerID: p.id, ProducerEpoch: p.epoch, Group: "g"})
	if r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	if err := commitOffsetIn(t, c, 4, "tx", p); err != nil {
		t.Error(err)
	}
}

// commitOffsetIn sends TxnOffsetCommit at version for partition 0 of topic t, from outside of group g.
func commitOffsetIn(t testing.TB, c *rawConn, version int16, txnID string, p producer) error {
	t.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = txnID, "g", p.id, p.epoch, -1
	rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	req.Topics = append(req.Topics, kmsg.TxnOffsetCommitRequestTopic{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{rp}})
	resp := ask[*kmsg.TxnOffsetCommitResponse](t, c, version, req)
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}

// TestFencedCodes: a zombie is told so by the code that its version of each request has for it.
func TestFencedCodes(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	cl := client(t, b)
	createTopic(t, cl, "t", 1)
	id := "tx"
	p := initProducer(t, cl, id, time.Minute)
	initProducer(t, cl, id, time.Minute)
	c := dialRaw(t, b)
	ways := map[string]func(version int16) int16{
		"InitProducerId": func(v int16) int16 {
			return ask[*kmsg.InitProducerIDResponse](t, c, v, &kmsg.InitProducerIDRequest{TransactionalID: &id, TransactionTimeoutMillis: 1000,
				ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch}).ErrorCode
		},
		"AddPartitionsToTxn": func(v int16) int16 {
			return ask[*kmsg.AddPartitionsToTxnResponse](t, c, v, &kmsg.AddPartitionsToTxnRequest{TransactionalID: id, ProducerID: p.ProducerID,
				ProducerEpoch: p.ProducerEpoch, Topics: []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}}).Topics[0].Partitions[0].ErrorCode
		},
		"AddOffsetsToTxn": func(v int16) int16 {
			return ask[*kmsg.AddOffsetsToTxnResponse](t, c, v, &kmsg.AddOffsetsToTxnRequest{TransactionalID: id, ProducerID: p.ProducerID,
				ProducerEpoch: p.ProducerEpoch, Group: "g"}).ErrorCode
		},
		"EndTxn": func(v int16) int16 {
			return ask[*kmsg.EndTxnResponse](t, c, v, &kmsg.EndTxnRequest{TransactionalID: id, ProducerID: p.ProducerID,
				ProducerEpoch: p.ProducerEpoch}).ErrorCode
		},
		"TxnOffsetCommit": func(v int16) int16 {
			var kerror *kerr.Error
			errors.As(commitOffsetIn(t, c, v, id, producer{p.ProducerID, p.ProducerEpoch}), &kerror)
			return kerror.Code
		},
		"Produce": func(v int16) int16 {
			req := produceRequest("t", 0, setAttribute(rawBatch(p.ProducerID, p.ProducerEpoch, 0, "v"), 0x10))
			req.TransactionID = &id
			return ask[*kmsg.ProduceResponse](t, c, v, req).Topics[0].Partitions[0].ErrorCode
		},
	}
	for _, q := range []struct {
		name    string
		version int16
		want    *kerr.Error
	}{
		{"InitProducerId", 3, kerr.InvalidProducerEpoch}, {"InitProducerId", 4, kerr.ProducerFenced},
		{"AddPartitionsToTxn", 1, kerr.InvalidProducerEpoch}, {"AddPartitionsToTxn", 2, kerr.ProducerFenced},
		{"AddOffsetsToTxn", 1, kerr.InvalidProducerEpoch}, {"AddOffsetsToTxn", 2, kerr.ProducerFenced},
		{"EndTxn", 1, kerr.InvalidProducerEpoch}, {"EndTxn", 2, kerr.ProducerFenced}, {"EndTxn", 5, kerr.ProducerFenced},
		{"TxnOffsetCommit", 3, kerr.InvalidProducerEpoch}, {"TxnOffsetCommit", 5, kerr.InvalidProducerEpoch},
		// Versions below 12 ask the partition, which has never heard of the successor.
		{"Produce", 9, kerr.InvalidProducerEpoch}, {"Produce", 11, kerr.InvalidProducerEpoch}, {"Produce", 12, kerr.InvalidProducerEpoch},
	} {
		if code := ways[q.name](q.version); code != q.want.Code {
			t.Errorf("%s version %d: %v, want %v", q.name, q.version, kerr.ErrorForCode(code), q.want)
		}
	}
}

// TestNothingToCommitBeginsNothing: a commit of offsets of which every one is refused does not look at its sender, and begins no transaction.
func TestNothingToCommitBeginsNothing(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	cl := client(t, b)
	createTopic(t, cl, "t", 1)
	p := initProducer(t, cl, "tx", time.Minute)
	if err := txnCommitOffset(t, cl, "tx", producer{p.ProducerID, p.ProducerEpoch}, "g", "", -1, "nowhere", 1); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("%v", err)
	}
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{"tx"}
	if r := raw[*kmsg.DescribeTransactionsResponse](t, cl, req); r.TransactionStates[0].State != "Empty" {
		t.Errorf("%+v", r.TransactionStates[0])
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.MemberID, commit.Generation = "g", "nobody", 7
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = "nowhere"
	rt.Partitions = append(rt.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
	commit.Topics = append(commit.Topics, rt)
	if r := ask[*kmsg.OffsetCommitResponse](t, dialRaw(t, b), 8, commit); r.Topics[0].Partitions[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("%+v", r.Topics[0])
	}
}
