package api

// Produce, key 0, versions 3-13.
//
//	3   record batches (KIP-98): transactional id
//	4   KAFKA_STORAGE_ERROR
//	5   log start offset
//	6   as 5
//	7   zstd (KIP-110)
//	8   record errors and message (KIP-467)
//	9   flexible
//	10  current leader in errors (KIP-951)
//	11  TRANSACTION_ABORTABLE (KIP-890 part 1)
//	12  a transactional batch adds its partition to the transaction (KIP-890 part 2)
//	13  topic ids (KIP-516)
//
// Versions 0-2 are announced and not served: librdkafka before 2.11.1 compresses only for brokers that announce them
// (KAFKA-18659), and no client sends them. acks=1 waits for durability just as acks=all does: there is one replica.
// Left out: the time-out, since nothing is waited for but the disk.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// Where a record batch keeps what the coordinator has to know.
const (
	batchAttributes    = 21
	batchProducerID    = 43
	batchProducerEpoch = 51
	batchHeaderSize    = 61

	attributeCodec         = 0x07
	attributeTransactional = 0x10
	codecZstd              = 4
)

var errUnanswered = errors.New("produce with acks=0 was refused")

func (a *API) produce(req *server.Request, r *kmsg.ProduceRequest) server.Reply {
	resp := r.ResponseKind().(*kmsg.ProduceResponse)
	var refusedID *kerr.Error
	if r.TransactionID != nil {
		refusedID = a.denied(req, opWrite, onTxn, *r.TransactionID)
	}
	invalidAcks := r.Acks < -1 || r.Acks > 1
	small := smallBatch(r)
	var last commitlog.LSN
	var refused *kerr.Error
	for i := range r.Topics {
		rt := &r.Topics[i]
		t, terr := a.topic(req, opWrite, rt.Topic, rt.TopicID, r.Version, 13)
		out := kmsg.NewProduceResponseTopic()
		out.Topic, out.TopicID = rt.Topic, rt.TopicID
		out.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(rt.Partitions))
		for j := range rt.Partitions {
			rp, op := &rt.Partitions[j], &out.Partitions[j]
			op.Default()
			op.Partition, op.BaseOffset = rp.Partition, -1
			part, err := a.partition(t, rp.Partition, terr)
			switch {
			case refusedID != nil:
				err = refusedID
			case invalidAcks:
				err = kerr.InvalidRequiredAcks
			}
			if err == nil {
				raw := rp.Records
				if len(raw) < small {
					raw = append([]byte(nil), raw...)
				}
				var lsn commitlog.LSN
				lsn, err = a.append(part, txn.Partition{Topic: t.ID, Index: rp.Partition}, r, raw, op)
				last = max(last, lsn)
			}
			if err != nil {
				op.ErrorCode, refused = err.Code, err
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
	if r.Acks == 0 {
		if refused != nil {
			return server.Fail(fmt.Errorf("%w: %w", errUnanswered, refused))
		}
		return server.Now(nil)
	}
	return a.produced(resp, last)
}

// produced answers once everything that was appended is durable. If that will never be, every partition that had no error
// gets one: its outcome is not known.
func (a *API) produced(resp *kmsg.ProduceResponse, last commitlog.LSN) server.Reply {
	return func(ctx context.Context) (server.Response, error) {
		if err := a.log.Wait(ctx, last); err != nil {
			if ctx.Err() != nil {
				return server.Response{}, err
			}
			for i := range resp.Topics {
				for j := range resp.Topics[i].Partitions {
					if p := &resp.Topics[i].Partitions[j]; p.ErrorCode == 0 {
						p.ErrorCode, p.BaseOffset = cause(err).Code, -1
					}
				}
			}
		}
		return server.Response{Body: resp}, nil
	}
}

// append appends one partition's batch and fills in its answer.
func (a *API) append(part *commitlog.Partition, tp txn.Partition, r *kmsg.ProduceRequest, raw []byte, op *kmsg.ProduceResponseTopicPartition) (commitlog.LSN, *kerr.Error) {
	res, txnErr, err := a.appendBatch(part, tp, r, raw)
	if txnErr != nil {
		return 0, txnErr
	}
	if err != nil {
		describeRefusal(err, op)
		if tellsLogStart(err) {
			op.LogStartOffset = part.Offsets().LogStart
		}
		if errors.Is(err, commitlog.ErrTxnNotOpen) && r.Version >= 11 {
			return 0, kerr.TransactionAbortable
		}
		return 0, cause(err)
	}
	op.BaseOffset, op.LogAppendTime, op.LogStartOffset = res.BaseOffset, res.LogAppendTime, res.LogStart
	return res.LSN, nil
}

// appendBatch appends raw, through the transaction coordinator if that has a say.
func (a *API) appendBatch(part *commitlog.Partition, tp txn.Partition, r *kmsg.ProduceRequest, raw []byte) (res commitlog.AppendResult, txnErr *kerr.Error, err error) {
	if len(raw) < batchHeaderSize { // there is nothing to look at, and the log says what is wrong
		res, err = part.Append(raw, commitlog.AppendOptions{})
		return res, nil, err
	}
	attributes := binary.BigEndian.Uint16(raw[batchAttributes:])
	if attributes&attributeCodec == codecZstd && r.Version < 7 {
		return res, nil, commitlog.ErrUnsupportedCompression
	}
	if attributes&attributeTransactional != 0 { // what a batch says is checked, not what its request claims
		return a.appendTransactional(part, tp, r, raw)
	}
	res, err = part.Append(raw, commitlog.AppendOptions{})
	return res, nil, err
}

// appendTransactional appends a transactional batch. One of an older version needs no look at its transaction before: the partition itself
// refuses what was not added. The look after that tells a producer that was fenced from one that forgot to add the partition.
func (a *API) appendTransactional(part *commitlog.Partition, tp txn.Partition, r *kmsg.ProduceRequest, raw []byte) (res commitlog.AppendResult, txnErr *kerr.Error, err error) {
	if r.TransactionID == nil {
		return res, kerr.TransactionalIDAuthorizationFailed, nil // nobody may use no id
	}
	producer := txn.Producer{
		ID:    int64(binary.BigEndian.Uint64(raw[batchProducerID:])),
		Epoch: int16(binary.BigEndian.Uint16(raw[batchProducerEpoch:])),
	}
	if r.Version >= 12 {
		res, txnErr, err = a.coord.Append(part, tp, *r.TransactionID, producer, raw)
	} else if res, err = part.Append(raw, commitlog.AppendOptions{}); errors.Is(err, commitlog.ErrTxnNotOpen) {
		txnErr = a.coord.CheckProducer(*r.TransactionID, producer)
	}
	if txnErr == kerr.ProducerFenced { // the code that Produce has for it
		txnErr = kerr.InvalidProducerEpoch
	}
	return res, txnErr, err
}

// tellsLogStart reports whether Kafka tells the log start with an error: of what it has found in the records, or in the producer's state.
func tellsLogStart(err error) bool {
	for _, e := range []error{commitlog.ErrInvalidRecord, commitlog.ErrInvalidTimestamp, commitlog.ErrOutOfOrderSequence, commitlog.ErrInvalidProducerEpoch} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// describeRefusal fills in what versions 8 and later tell about invalid records.
func describeRefusal(err error, op *kmsg.ProduceResponseTopicPartition) {
	rerr, ok := errors.AsType[*commitlog.RecordError](err)
	if !ok {
		return
	}
	op.ErrorMessage = pointer(rerr.Error())
	for _, f := range rerr.Faults {
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset, e.ErrorMessage = int32(f.Index), pointer(f.Reason)
		op.ErrorRecords = append(op.ErrorRecords, e)
	}
}

// smallBatch is the size below which a batch is copied out of its request. The log keeps batches in memory for a while, and
// each keeps its whole request there: so a byte that is kept costs at most four.
func smallBatch(r *kmsg.ProduceRequest) int {
	total := 0
	for i := range r.Topics {
		for j := range r.Topics[i].Partitions {
			total += len(r.Topics[i].Partitions[j].Records)
		}
	}
	return total / 4
}
