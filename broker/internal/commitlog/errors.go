package commitlog

import (
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/broker/internal/batch"
	"github.com/millrace-io/millrace/broker/internal/journal"
)

// Errors that callers branch on. The Kafka error each one stands for is named where there is one.
var (
	// ErrLocked: another process, or another Log of this one, holds the data directory.
	ErrLocked = errors.New("data directory is in use")
	// ErrClosed: the log is closed.
	ErrClosed = errors.New("commit log closed")
	// ErrStopped: a write or sync failed earlier, and no write is accepted any more (KAFKA_STORAGE_ERROR).
	// Reading goes on. Only opening the directory anew, once the cause is mended, clears it.
	ErrStopped = journal.ErrStopped

	// ErrFull: the disk has no room but for the reserve. Appends are accepted again when it has (KAFKA_STORAGE_ERROR).
	ErrFull = errors.New("the disk is full")

	// ErrExists: the directory to copy to is there already.
	ErrExists = errors.New("the directory exists already")

	// ErrTopicExists: TOPIC_ALREADY_EXISTS.
	ErrTopicExists = errors.New("topic exists")
	// ErrUnknownTopic: no such topic or partition, or it was deleted (UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID).
	ErrUnknownTopic = errors.New("unknown topic or partition")
	// ErrInvalidPartitions: INVALID_PARTITIONS.
	ErrInvalidPartitions = errors.New("invalid number of partitions")
	// ErrInvalidConfig: a topic config that the log does not accept (INVALID_CONFIG).
	ErrInvalidConfig = errors.New("invalid topic config")
	// ErrInvalidTopicName: INVALID_TOPIC_EXCEPTION.
	ErrInvalidTopicName = errors.New("invalid topic name")

	// ErrPolicy: the topic's cleanup.policy does not allow it (POLICY_VIOLATION).
	ErrPolicy = errors.New("not allowed by cleanup.policy")

	// ErrOffsetOutOfRange: OFFSET_OUT_OF_RANGE. The ReadResult that comes with it has the partition's offsets.
	ErrOffsetOutOfRange = errors.New("offset out of range")

	// ErrCorruptBatch: the checksum does not match, or the bytes are not a batch (CORRUPT_MESSAGE).
	ErrCorruptBatch = batch.ErrCorrupt
	// ErrUnsupportedMagic: not a version 2 batch (UNSUPPORTED_FOR_MESSAGE_FORMAT).
	ErrUnsupportedMagic = batch.ErrMagic
	// ErrUnsupportedCompression: a codec that Kafka does not know (UNSUPPORTED_COMPRESSION_TYPE).
	ErrUnsupportedCompression = batch.ErrCodec
	// ErrInvalidRecord: INVALID_RECORD. A *RecordError says which record and why.
	ErrInvalidRecord = errors.New("invalid record")
	// ErrInvalidTimestamp: INVALID_TIMESTAMP.
	ErrInvalidTimestamp = errors.New("invalid timestamp")
	// ErrMessageTooLarge: MESSAGE_TOO_LARGE (max.message.bytes).
	ErrMessageTooLarge = errors.New("batch exceeds max.message.bytes")
	// ErrBatchTooLarge: the batch is larger than a segment (RECORD_LIST_TOO_LARGE).
	ErrBatchTooLarge = errors.New("batch exceeds the segment size")

	// ErrOutOfOrderSequence: OUT_OF_ORDER_SEQUENCE_NUMBER.
	ErrOutOfOrderSequence = errors.New("sequence number out of order")
	// ErrInvalidProducerEpoch: the batch's epoch is older than one seen before (INVALID_PRODUCER_EPOCH).
	ErrInvalidProducerEpoch = errors.New("producer epoch is fenced")
	// ErrTxnNotOpen: a transactional batch whose producer id and epoch have no transaction open on the partition: open it
	// with AppendOptions.Begin or Update.Begin, or answer INVALID_TXN_STATE (Produce >= 12: TRANSACTION_ABORTABLE).
	ErrTxnNotOpen = errors.New("no open transaction on the partition")
	// ErrInvalidTxnState: a batch outside of any transaction from a producer that has one open on the partition
	// (INVALID_TXN_STATE).
	ErrInvalidTxnState = errors.New("producer has an open transaction on the partition")
)

// RecordError says which record of a batch is at fault, and so the batch. It wraps ErrInvalidRecord or ErrInvalidTimestamp.
type RecordError struct {
	Index  int    // of the record within the batch, or -1: the batch as a whole
	Reason string // for the produce response's error message
	kind   error  // nil: ErrInvalidRecord
}

// Error implements error.
func (e *RecordError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("invalid record batch: %s", e.Reason)
	}
	return fmt.Sprintf("invalid record %d: %s", e.Index, e.Reason)
}

// Unwrap returns ErrInvalidRecord or ErrInvalidTimestamp.
func (e *RecordError) Unwrap() error {
	if e.kind != nil {
		return e.kind
	}
	return ErrInvalidRecord
}

// CorruptionError reports acknowledged data that cannot be read back. Nothing is repaired or dropped silently.
type CorruptionError = journal.CorruptionError
