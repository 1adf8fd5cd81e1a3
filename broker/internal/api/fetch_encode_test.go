package api

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/wire"
)

// TestFetchEncoding reads answers of every version back with the generated decoder, and encodes them again with the
// generated encoder: the bytes are the same.
func TestFetchEncoding(t *testing.T) {
	large, small := bytes.Repeat([]byte("r"), 3*copyBelow), []byte("small batch")
	for version := int16(4); version <= 18; version++ {
		for _, iso := range []commitlog.Isolation{commitlog.ReadUncommitted, commitlog.ReadCommitted} {
			t.Run(fmt.Sprint(version, iso), func(t *testing.T) {
				some := &commitlog.Partition{}
				f := &fetch{version: version, isolation: iso, topics: []fetchTopic{
					{name: "a", id: [16]byte{1}, partitions: []fetchPartition{
						{index: 0, part: some, ReadResult: commitlog.ReadResult{
							Offsets: commitlog.Offsets{LogStart: 1, LastStable: 5, HighWatermark: 7, End: 9},
							Batches: [][]byte{small, large, small}, Bytes: len(large) + 2*len(small),
							Aborted: []commitlog.AbortedTxn{{ProducerID: 3, FirstOffset: 4}},
						}},
						{index: 1, part: some, err: kerr.OffsetOutOfRange},
						{index: 2, part: some},
					}},
					{name: "b", id: [16]byte{2}, partitions: []fetchPartition{{index: 5, err: kerr.UnknownTopicID}}},
				}}
				h := wire.Header{Key: 1, Version: version, CorrelationID: 99}
				pieces := f.encode(h, nil)
				if len(pieces) != 3 || &pieces[1][0] != &large[0] {
					t.Errorf("%d pieces: the large batch is copied", len(pieces))
				}
				frame := bytes.Join(pieces, nil)
				resp := kmsg.NewPtrFetchResponse()
				resp.Version = version
				head := wire.AppendResponseHeader(nil, h, resp.IsFlexible(), len(frame))
				if err := resp.ReadFrom(frame[len(head):]); err != nil {
					t.Fatal(err)
				}
				if again := wire.AppendResponse(nil, h, resp); !bytes.Equal(again, frame) {
					t.Errorf("ours % x\nkmsg % x", frame, again)
				}
				p := resp.Topics[0].Partitions[0]
				if p.HighWatermark != 7 || p.LastStableOffset != 5 || len(p.RecordBatches) != len(large)+2*len(small) {
					t.Errorf("partition 0: %+v", p)
				}
				if committed := iso == commitlog.ReadCommitted; (p.AbortedTransactions != nil) != committed || committed && len(p.AbortedTransactions) != 1 {
					t.Errorf("aborted: %v", p.AbortedTransactions)
				}
				if p := resp.Topics[0].Partitions[2]; p.RecordBatches == nil {
					t.Error("no records is null")
				}
				if p := resp.Topics[1].Partitions[0]; p.ErrorCode != kerr.UnknownTopicID.Code || p.HighWatermark != -1 {
					t.Errorf("unknown topic: %+v", p)
				}
			})
		}
	}
}

func TestFetchRefusalEncoding(t *testing.T) {
	f := &fetch{version: 12, topics: []fetchTopic{{name: "a", partitions: []fetchPartition{{err: kerr.ClusterAuthorizationFailed}}}}}
	h := wire.Header{Key: 1, Version: 12}
	frame := bytes.Join(f.encode(h, kerr.ClusterAuthorizationFailed), nil)
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 12
	if err := resp.ReadFrom(frame[9:]); err != nil || resp.ErrorCode != kerr.ClusterAuthorizationFailed.Code || len(resp.Topics) != 0 {
		t.Errorf("%+v, %v", resp, err)
	}
}
