package commitlog

import (
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/broker/internal/batch"
)

// AppendOptions go with an appended batch.
type AppendOptions struct {
	// Begin opens the producer's transaction on the partition in the same entry (the implicit add of transaction version 2).
	// The batch must be transactional. It is idempotent.
	Begin bool
	// Records go into the same entry as the batch: both or neither. The caller holds the locks of their machines. Nothing is
	// replayed when the batch is refused or a duplicate.
	Records []Record
}

// AppendResult is the place of an appended batch.
type AppendResult struct {
	BaseOffset int64
	// LogAppendTime is the broker's time in milliseconds if the topic has message.timestamp.type=LogAppendTime, else -1.
	LogAppendTime int64
	LogStart      int64
	// LSN is to be waited for before answering with acks=all. For a duplicate it is the original's.
	LSN LSN
	// Duplicate: the batch was appended before, and nothing was appended now.
	Duplicate bool
}

// Append checks raw, which must be one version 2 record batch as a producer made it, assigns its offset and enqueues it.
// It returns before the batch is durable: see AppendResult.LSN. With the zero options it waits first while the disk cannot keep
// up, and then no machine's lock may be held.
//
// The log keeps raw and patches it in place (base offset, leader epoch; with LogAppendTime or a false maximum timestamp also
// that, and the checksum): the caller must not touch it any more, whatever the result. raw's backing array lives as long as
// the batch is held in memory, so a caller with many small batches in one buffer copies them out.
//
// The errors are those of this package; each refers to this batch only, but for ErrStopped and ErrClosed.
func (p *Partition) Append(raw []byte, o AppendOptions) (AppendResult, error) {
	l := p.log
	if err := l.checkRecords(o.Records); err != nil {
		return AppendResult{}, err
	}
	if len(o.Records) == 0 && !o.Begin {
		l.admit()
	}
	if err := l.admitBytes(len(raw)); err != nil {
		return AppendResult{}, err
	}
	config := &p.topic.now().config
	h, err := p.checkBatch(raw, config, o.Begin)
	if err != nil {
		return AppendResult{}, err
	}
	done, err := l.enter()
	if err != nil {
		return AppendResult{}, err
	}
	defer done()
	now := l.now()
	if config.logAppendTime {
		batch.SetMaxTimestamp(raw, &h, now, true)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	res := AppendResult{BaseOffset: p.mu.end, LogAppendTime: -1, LogStart: p.mu.logStart}
	if p.mu.deleted {
		return res, ErrUnknownTopic
	}
	if h.ProducerID >= 0 {
		original, err := p.mu.producers.check(&h, o.Begin)
		if err != nil {
			return res, err
		}
		if original != nil {
			res.BaseOffset, res.LogAppendTime = original.baseOffset, original.appendTime
			res.LSN, res.Duplicate = original.lsn, true
			return res, nil
		}
	}
	if h.Attributes.LogAppendTime() {
		res.LogAppendTime = now
	}
	batch.SetPlace(raw, &h, p.mu.end, p.leaderEpochLocked())
	a := appendChange{TopicPartition: p.name(), begin: o.Begin, time: now, h: h, raw: raw}
	res.LSN, err = p.appendLocked(&a, o.Records)
	return res, err
}

// appendLocked is commitLocked for a batch, without its detours: nothing is allocated when there are no records.
func (p *Partition) appendLocked(a *appendChange, records []Record) (LSN, error) {
	if len(records) > 0 {
		return p.log.commitLocked(&entry{append: a, records: records}, []*Partition{p})
	}
	var head [64]byte
	e := entry{append: a}
	lsn, err := p.log.enqueue(e.encode(head[:0]), a.raw, p)
	if err != nil {
		return 0, err
	}
	if err := p.applyAppend(lsn, a); err != nil { // what apply does with such an entry
		p.log.fail(fmt.Errorf("apply entry %d: %w", lsn, err))
		return 0, p.log.journal.Err()
	}
	return lsn, nil
}

// checkBatch checks all that does not depend on the partition's state. Every record of an uncompressed batch is looked at; a
// compressed one is unfolded only if the topic's configs ask for a look, or if its header's maximum timestamp is below its first
// record's: some clients leave it out (Sarama did). Else that is trusted, unlike in Kafka.
func (p *Partition) checkBatch(raw []byte, c *topicConfig, begin bool) (batch.Header, error) {
	h, err := batch.ParseHeader(raw)
	switch {
	case len(raw) == 0:
		return h, batchError("no batch")
	case errors.Is(err, batch.ErrMagic), errors.Is(err, batch.ErrNumbers) && batch.Verify(raw, &h) == nil:
		return h, batchError(err.Error()) // so it was made: to send it again is of no use
	case err != nil:
		return h, err
	case len(raw) < h.Size():
		return h, fmt.Errorf("%w: %d bytes for a batch of %d", ErrCorruptBatch, len(raw), h.Size())
	case len(raw) > h.Size():
		return h, batchError("more than one batch")
	case len(raw) > c.maxBatchBytes:
		return h, fmt.Errorf("%w: %d bytes, limit %d", ErrMessageTooLarge, len(raw), c.maxBatchBytes)
	case int64(len(raw)) > c.maxSegmentBytes(&p.log.cfg):
		return h, fmt.Errorf("%w: %d bytes, limit %d", ErrBatchTooLarge, len(raw), c.maxSegmentBytes(&p.log.cfg))
	}
	if err := batch.Verify(raw, &h); err != nil {
		return h, err
	}
	if err := checkFields(&h, begin); err != nil {
		return h, err
	}
	if h.Attributes.Codec() != batch.CodecNone && !c.compacted && !c.limitsTime() && (c.logAppendTime || h.MaxTimestamp >= h.BaseTimestamp) {
		return h, nil
	}
	s, err := batch.ScanRecords(raw, &h)
	if err != nil {
		return h, invalidRecords(err)
	}
	now := p.log.now() // one moment, for the batch and for its records
	if c.compacted && s.NullKey >= 0 || c.limitsTime() && (c.far(s.MinTimestamp, now) || c.far(s.MaxTimestamp, now)) {
		if err := recordFaults(raw, &h, c, now); err != nil {
			return h, err
		}
	}
	if s.MaxTimestamp != h.MaxTimestamp {
		batch.SetMaxTimestamp(raw, &h, s.MaxTimestamp, false)
	}
	return h, nil
}

// checkFields checks the header's fields against each other.
func checkFields(h *batch.Header, begin bool) error {
	a := h.Attributes
	switch {
	case h.BaseOffset != 0:
		return batchError("base offset is not 0")
	case !a.Codec().Known():
		return fmt.Errorf("%w: %d", ErrUnsupportedCompression, a.Codec())
	case h.Count < 1 || int64(h.Count) != int64(h.LastOffsetDelta)+1:
		return batchError(fmt.Sprintf("count %d with last offset delta %d", h.Count, h.LastOffsetDelta))
	case a.Control():
		return batchError("clients may not write control batches")
	case a.LogAppendTime():
		return fmt.Errorf("%w: clients may not set the log append time", ErrInvalidTimestamp)
	case a.DeleteHorizon():
		return batchError("clients may not set a delete horizon")
	case h.ProducerID >= 0 && (h.ProducerEpoch < 0 || h.BaseSequence < 0):
		return batchError("producer id without an epoch or a sequence number")
	case h.ProducerID < 0 && a.Transactional():
		return batchError("transactional without a producer id")
	case begin && !a.Transactional():
		return batchError("not transactional, but to begin a transaction")
	}
	return nil
}

// far reports whether a record's time is too long ago or too far ahead.
func (c *topicConfig) far(ts, now int64) bool { return now-ts > c.beforeMax || ts-now > c.afterMax }

// recordFaults names the records of a batch that a topic does not take, each with the first thing that is wrong with it. A record
// without a time is taken, though it seems to be of long ago.
func recordFaults(raw []byte, h *batch.Header, c *topicConfig, now int64) error {
	records, err := batch.NewRecords(raw, h)
	if err != nil {
		return invalidRecords(err)
	}
	faults := &RecordError{}
	for index := 0; records.Next(); index++ {
		switch r := records.Record(); {
		case c.compacted && r.Key == nil:
			faults.add(index, "a compacted topic takes no record without a key")
		case c.limitsTime() && r.Timestamp != batch.NoTimestamp && c.far(r.Timestamp, now):
			faults.add(index, "the timestamp is too far from the broker's time")
			faults.kind = ErrInvalidTimestamp // also if others have another fault, as Kafka
		}
	}
	if err := records.Err(); err != nil {
		return invalidRecords(err)
	}
	if faults.Total == 0 {
		return nil
	}
	return faults
}

func batchError(reason string) error { return &RecordError{reason: reason} }

// invalidRecords turns a fault inside a batch whose checksum is right into an error of the producer.
func invalidRecords(err error) error {
	if errors.Is(err, ErrUnsupportedCompression) {
		return err
	}
	return batchError(err.Error())
}
