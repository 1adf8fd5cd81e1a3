package broker_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// sessionClient fetches in a session, at version 12.
type sessionClient struct {
	t     testing.TB
	c     *rawConn
	id    int32
	epoch int32
}

// fetch sends the partitions, each from an offset, and what is to be forgotten, and returns the answer.
func (s *sessionClient) fetch(isolation int8, from map[int32]int64, forget ...int32) *kmsg.FetchResponse {
	s.t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxBytes, req.MinBytes, req.IsolationLevel = -1, 1<<20, 1, isolation
	req.SessionID, req.SessionEpoch = s.id, s.epoch
	if len(from) > 0 {
		t := kmsg.FetchRequestTopic{Topic: "t"}
		for p := range int32(8) {
			if offset, ok := from[p]; ok {
				rp := kmsg.NewFetchRequestTopicPartition()
				rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p, offset, 1<<20
				t.Partitions = append(t.Partitions, rp)
			}
		}
		req.Topics = append(req.Topics, t)
	}
	if len(forget) > 0 {
		req.ForgottenTopics = append(req.ForgottenTopics, kmsg.FetchRequestForgottenTopic{Topic: "t", Partitions: forget})
	}
	resp := ask[*kmsg.FetchResponse](s.t, s.c, 12, req)
	if resp.ErrorCode == 0 {
		s.id = resp.SessionID
		s.epoch++
	}
	return resp
}

// partitions returns which are in an answer, in order, and which of them have records.
func partitionsOf(resp *kmsg.FetchResponse) (all, filled []int32) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			all = append(all, p.Partition)
			if len(p.RecordBatches) > 0 {
				filled = append(filled, p.Partition)
			}
		}
	}
	return all, filled
}

// TestFetchSession: an incremental answer has what is new, and nothing else (KIP-227).
func TestFetchSession(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	createTopic(t, cl, "t", 4)
	produce := func(partitions ...int32) {
		for _, p := range partitions {
			if err := cl.ProduceSync(testContext(t), &kgo.Record{Topic: "t", Partition: p, Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := &sessionClient{t: t, c: dialRaw(t, b)}
	expect := func(what string, resp *kmsg.FetchResponse, all, filled []int32) {
		t.Helper()
		gotAll, gotFilled := partitionsOf(resp)
		if resp.ErrorCode != 0 || !slices.Equal(gotAll, all) || !slices.Equal(gotFilled, filled) {
			t.Errorf("%s: error %d, partitions %v, with records %v; want %v, %v", what, resp.ErrorCode, gotAll, gotFilled, all, filled)
		}
	}
	produce(0)
	expect("full", s.fetch(0, map[int32]int64{0: 0, 1: 0, 2: 0}), []int32{0, 1, 2}, []int32{0})
	if s.id == 0 {
		t.Fatal("no session")
	}
	expect("nothing new", s.fetch(0, map[int32]int64{0: 1}), nil, nil)
	produce(2, 0)
	expect("two are new; the first was served last", s.fetch(0, nil), []int32{2, 0}, []int32{2, 0})
	produce(0, 2)
	expect("they are behind the others, in the order in which they were served", s.fetch(0, map[int32]int64{0: 2, 2: 1}), []int32{2, 0}, []int32{2, 0})
	expect("a new partition", s.fetch(0, map[int32]int64{0: 3, 2: 2, 3: 0}), []int32{3}, nil)

	adm := kadm.NewClient(cl)
	cut := make(kadm.Offsets)
	cut.Add(kadm.Offset{Topic: "t", Partition: 0, At: 2})
	if _, err := adm.DeleteRecords(testContext(t), cut); err != nil {
		t.Fatal(err)
	}
	expect("a log start that moved", s.fetch(0, nil), []int32{0}, nil)
	expect("it is told once", s.fetch(0, nil), nil, nil)
	produce(1)
	expect("forgotten", s.fetch(0, nil, 1), nil, nil)
	bad := s.fetch(0, map[int32]int64{2: 99})
	if all, _ := partitionsOf(bad); !slices.Equal(all, []int32{2}) || bad.Topics[0].Partitions[0].ErrorCode != kerr.OffsetOutOfRange.Code {
		t.Errorf("an error: %+v", bad)
	}
	expect("the error is told again, for as long as it is one", s.fetch(0, nil), []int32{2}, nil)
	expect("mended, and so told", s.fetch(0, map[int32]int64{2: 2}), []int32{2}, nil)

	s.epoch += 5
	if r := s.fetch(0, nil); r.ErrorCode != kerr.InvalidFetchSessionEpoch.Code || len(r.Topics) != 0 || r.SessionID != 0 {
		t.Errorf("another epoch: %+v", r)
	}
	old := *s
	s.epoch = -1
	if r := s.fetch(0, map[int32]int64{0: 2}); r.ErrorCode != 0 || r.SessionID != 0 {
		t.Errorf("the end: %+v", r)
	}
	if r := old.fetch(0, nil); r.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("after the end: %+v", r)
	}
}

// TestFetchSessionTellsStableOffsets: a transaction's end is news for who reads committed data.
func TestFetchSessionTellsStableOffsets(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	cl := client(t, b, kgo.TransactionalID("tx"))
	createTopic(t, cl, "t", 1)
	s := &sessionClient{t: t, c: dialRaw(t, b)}
	s.fetch(1, map[int32]int64{0: 0})
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(testContext(t), numbered("t", 0, 1)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if r := s.fetch(1, nil); len(r.Topics) != 1 || r.Topics[0].Partitions[0].HighWatermark != 1 || r.Topics[0].Partitions[0].LastStableOffset != 0 {
		t.Errorf("open: %+v", r)
	}
	if err := cl.EndTransaction(testContext(t), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	r := s.fetch(1, nil)
	if len(r.Topics) != 1 || r.Topics[0].Partitions[0].LastStableOffset != 2 || len(r.Topics[0].Partitions[0].AbortedTransactions) != 1 {
		t.Errorf("aborted: %+v", r)
	}
}
