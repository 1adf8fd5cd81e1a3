package commitlog

// TopicPartition names a partition by its topic's id.
type TopicPartition struct {
	Topic     TopicID
	Partition int32
}

// Update is what Commit makes durable as one entry: all of it or nothing, over every crash.
type Update struct {
	// Records go to their machines' Replay in this order. The caller holds the locks of these machines.
	Records []Record
	// Begin opens the producer's transaction on partitions, before any data is there (AddPartitionsToTxn). It is idempotent.
	Begin []Begin
	// Markers end the producer's transaction on partitions, each with a control batch.
	Markers []Marker
}

// Begin opens a transaction on a partition: from then on transactional batches of this producer id and epoch are accepted.
type Begin struct {
	TopicPartition
	ProducerID    int64
	ProducerEpoch int16
}

// Marker ends a transaction on a partition. ProducerEpoch becomes the partition's epoch for the producer, so that batches of a
// lower one are fenced from then on; with transaction version 2 it is the bumped epoch.
type Marker struct {
	TopicPartition
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Commit           bool
}

// Commit makes u durable as one entry and applies it. It returns when the update is applied and enqueued: Wait for the LSN
// before telling anybody. Offsets holds each marker's offset, in order; a partition whose topic is gone gets -1, and so is
// none in the way of ending a transaction that had written to it.
//
// Errors are ErrStopped and ErrClosed; then nothing of u was applied.
func (l *Log) Commit(u Update) (lsn LSN, offsets []int64, err error) {
	return 0, nil, ErrClosed
}
