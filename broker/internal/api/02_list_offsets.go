package api

// ListOffsets, key 2, versions 1-11.
//
//	1   one offset for each partition
//	2   isolation level (KIP-98): the latest offset of a read_committed client is the last stable one
//	4   leader epochs (KIP-320)
//	6   flexible
//	7   timestamp -3: the record with the highest timestamp (KIP-734)
//	8   timestamp -4: the earliest local offset (KIP-405)
//	9   timestamp -5: the latest tiered offset (KIP-1005)
//	10  time-out
//	11  timestamp -6: the earliest offset that is not yet tiered (KIP-1023)
//
// There is no tiered storage, so that -4 is the log start, and -5 and -6 find nothing. Left out: the time-out, since
// nothing is waited for.

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

// Timestamps that ask for an offset by its place.
const (
	latestTimestamp        = -1
	earliestTimestamp      = -2
	maxTimestamp           = -3
	earliestLocalTimestamp = -4
	latestTieredTimestamp  = -5
	pendingUploadTimestamp = -6
)

func (a *API) listOffsets(req *server.Request, r *kmsg.ListOffsetsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.ListOffsetsResponse)
	iso := commitlog.ReadUncommitted
	if r.IsolationLevel == int8(commitlog.ReadCommitted) {
		iso = commitlog.ReadCommitted
	}
	for i := range r.Topics {
		rt := &r.Topics[i]
		t, terr := a.topicNamed(req, opDescribe, rt.Topic)
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = rt.Topic
		for j := range rt.Partitions {
			rp := &rt.Partitions[j]
			op := kmsg.NewListOffsetsResponseTopicPartition()
			op.Partition, op.Offset, op.Timestamp, op.LeaderEpoch = rp.Partition, -1, -1, -1
			part, err := a.partition(t, rp.Partition, terr)
			if err == nil {
				err = checkEpoch(part, rp.CurrentLeaderEpoch)
			}
			if err == nil {
				err = find(part, rp.Timestamp, r.Version, iso, &op)
			}
			op.ErrorCode = code(err)
			out.Partitions = append(out.Partitions, op)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return server.Now(resp)
}

// find fills in the offset for a timestamp.
func find(p *commitlog.Partition, timestamp int64, version int16, iso commitlog.Isolation, op *kmsg.ListOffsetsResponseTopicPartition) *kerr.Error {
	var found commitlog.TimestampOffset
	var err error
	offsets := p.Offsets()
	switch {
	case timestamp >= 0:
		found, err = p.OffsetForTimestamp(timestamp, iso)
	case timestamp == latestTimestamp && iso == commitlog.ReadCommitted:
		found = commitlog.TimestampOffset{Offset: offsets.LastStable, Timestamp: -1, LeaderEpoch: p.LeaderEpoch()}
	case timestamp == latestTimestamp:
		found = commitlog.TimestampOffset{Offset: offsets.HighWatermark, Timestamp: -1, LeaderEpoch: p.LeaderEpoch()}
	case timestamp == earliestTimestamp, timestamp == earliestLocalTimestamp && version >= 8:
		found = commitlog.TimestampOffset{Offset: offsets.LogStart, Timestamp: -1, LeaderEpoch: p.EpochAt(offsets.LogStart)}
	case timestamp == maxTimestamp && version >= 7:
		found, err = p.OffsetForMaxTimestamp(iso)
	case timestamp == latestTieredTimestamp && version >= 9, timestamp == pendingUploadTimestamp && version >= 11:
		return nil
	default:
		return kerr.UnsupportedVersion
	}
	if err != nil {
		return cause(err)
	}
	op.Offset, op.Timestamp = found.Offset, found.Timestamp
	if found.Offset >= 0 {
		op.LeaderEpoch = found.LeaderEpoch
	}
	return nil
}
