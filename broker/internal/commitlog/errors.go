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
	// with AppendOptions.Begin or Update.Begin, or answer INVALID_TXN_STATE (Produce >= 11: TRANSACTION_ABORTABLE).
	ErrTxnNotOpen = errors.New("no open transaction on the partition")
	// ErrInvalidTxnState: a batch outside of any transaction from a producer that has one open on the partition
	// (INVALID_TXN_STATE).
	ErrInvalidTxnState = errors.New("producer has an open transaction on the partition")
)

// RecordError says which records of a batch are at fault, and so the batch. It wraps ErrInvalidRecord or ErrInvalidTimestamp.
type RecordError struct {
	Faults []RecordFault // by index, at most maxRecordFaults; none: the batch as a whole
	Total  int           // how many there are in all
	reason string        // of the batch as a whole
	kind   error         // nil: ErrInvalidRecord
}

// RecordFault is what is wrong with one record.
type RecordFault struct {
	Index  int // within the batch
	Reason string
}

// maxRecordFaults bounds how many records an error names: a small batch may unfold to millions. Kafka names all.
const maxRecordFaults = 1000

// Error implements error. It shows the first three records.
func (e *RecordError) Error() string {
	if len(e.Faults) == 0 {
		return fmt.Sprintf("invalid record batch: %s", e.reason)
	}
	if e.Total == 1 {
		return fmt.Sprintf("invalid record %d: %s", e.Faults[0].Index, e.Faults[0].Reason)
	}
	text := fmt.Sprintf("%d invalid records", e.Total)
	for i, f := range e.Faults[:min(len(e.Faults), 3)] {
		text += fmt.Sprintf("%c record %d: %s", ":;;"[i], f.Index, f.Reason)
	}
	return text
}

// add notes a fault of a record.
func (e *RecordError) add(index int, reason string) {
	e.Total++
	if len(e.Faults) < maxRecordFaults {
		e.Faults = append(e.Faults, RecordFault{index, reason})
	}
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
