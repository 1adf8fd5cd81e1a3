package api

// DeleteRecords, key 21, versions 0-2.
//
//	1  throttling after the answer (KIP-219)
//	2  flexible
//
// Offset -1 stands for the high watermark. An offset below the log start changes nothing and is no error. What is deleted is gone
// for readers when it is answered, and stays gone over every crash. Left out: the time-out, since nothing is waited for
// but the disk.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) deleteRecords(req *server.Request, r *kmsg.DeleteRecordsRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DeleteRecordsResponse)
	var last commitlog.LSN
	for i := range r.Topics {
		rt := &r.Topics[i]
		t, terr := a.topicNamed(req, opDelete, rt.Topic)
		out := kmsg.NewDeleteRecordsResponseTopic()
		out.Topic = rt.Topic
		for _, rp := range rt.Partitions {
			op := kmsg.NewDeleteRecordsResponseTopicPartition()
			op.Partition, op.LowWatermark = rp.Partition, -1
			part, kerror := a.partition(t, rp.Partition, terr)
			if kerror == nil {
				start, lsn, err := part.DeleteRecords(rp.Offset)
				if err != nil {
					kerror = cause(err)
				} else {
					op.LowWatermark, last = start, max(last, lsn)
				}
			}
			op.ErrorCode = code(kerror)
			out.Partitions = append(out.Partitions, op)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return a.durable(last, nil, resp)
}
