package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

// causes maps what the log reports to Kafka's codes. The first match counts.
var causes = []struct {
	err  error
	code *kerr.Error
}{
	{commitlog.ErrTopicExists, kerr.TopicAlreadyExists},
	{commitlog.ErrUnknownTopic, kerr.UnknownTopicOrPartition},
	{commitlog.ErrInvalidPartitions, kerr.InvalidPartitions},
	{commitlog.ErrInvalidConfig, kerr.InvalidConfig},
	{commitlog.ErrInvalidTopicName, kerr.InvalidTopicException},
	{commitlog.ErrPolicy, kerr.PolicyViolation},
	{commitlog.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{commitlog.ErrCorruptBatch, kerr.CorruptMessage},
	{commitlog.ErrUnsupportedCompression, kerr.UnsupportedCompressionType},
	{commitlog.ErrInvalidRecord, kerr.InvalidRecord},
	{commitlog.ErrInvalidTimestamp, kerr.InvalidTimestamp},
	{commitlog.ErrMessageTooLarge, kerr.MessageTooLarge},
	{commitlog.ErrBatchTooLarge, kerr.RecordListTooLarge},
	{commitlog.ErrOutOfOrderSequence, kerr.OutOfOrderSequenceNumber},
	{commitlog.ErrInvalidProducerEpoch, kerr.InvalidProducerEpoch},
	{commitlog.ErrTxnNotOpen, kerr.InvalidTxnState},
	{commitlog.ErrInvalidTxnState, kerr.InvalidTxnState},
	{commitlog.ErrStopped, kerr.KafkaStorageError},
	{commitlog.ErrFull, kerr.KafkaStorageError},
	{commitlog.ErrClosed, kerr.KafkaStorageError},
}

// cause returns Kafka's code for an error of the log.
func cause(err error) *kerr.Error {
	for _, c := range causes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	if _, ok := errors.AsType[*commitlog.CorruptionError](err); ok {
		return kerr.KafkaStorageError
	}
	return kerr.UnknownServerError
}

// code returns the number of a Kafka error; nil is 0.
func code(err *kerr.Error) int16 {
	if err == nil {
		return 0
	}
	return err.Code
}

func pointer[T any](v T) *T { return &v }

// or returns what p points to, or fallback for nil.
func or[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}
