package api

// DescribeProducers, key 61, versions 0-0.
//
// What partitions know of their producers, and so which transaction holds a last stable offset back. The coordinator's epoch is
// always 0: there is one coordinator.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/server"
)

func (a *API) describeProducers(req *server.Request, r *kmsg.DescribeProducersRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.DescribeProducersResponse)
	for i := range r.Topics {
		rt := &r.Topics[i]
		t, terr := a.topicNamed(req, opRead, rt.Topic)
		out := kmsg.NewDescribeProducersResponseTopic()
		out.Topic = rt.Topic
		for _, index := range rt.Partitions {
			op := kmsg.NewDescribeProducersResponseTopicPartition()
			op.Partition = index
			part, kerror := a.partition(t, index, terr)
			if kerror == nil {
				producers, err := part.Producers()
				if err != nil {
					kerror = cause(err)
				}
				for _, p := range producers {
					ap := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
					ap.ProducerID, ap.ProducerEpoch, ap.LastSequence, ap.LastTimestamp = p.ID, int32(p.Epoch), p.LastSequence, p.LastUse
					ap.CurrentTxnStartOffset = p.TxnStart
					op.ActiveProducers = append(op.ActiveProducers, ap)
				}
			}
			if kerror != nil {
				op.ErrorCode, op.ErrorMessage = kerror.Code, pointer(kerror.Description)
			}
			out.Partitions = append(out.Partitions, op)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return a.durable(a.log.Enqueued(), nil, resp)
}
