package commitlog

import (
	"fmt"
	"math"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/batch"
	"github.com/millrace-io/millrace/broker/internal/inspect"
	"github.com/millrace-io/millrace/broker/internal/journal"
)

// Inspector tells of the files of a data directory, one by one, as they are: also of one that is in use, or damaged.
type Inspector struct {
	FS vfs.FS
	// Emit is called for each item. Its error ends the inspection.
	Emit func(inspect.Item) error
	// Describe says what a machine's record means.
	Describe func(id MachineID, record []byte) (inspect.Item, error)
	// Records has the records of batches told, not only their headers.
	Records bool
}

// File tells of one file. Its name says what it is.
func (x *Inspector) File(path string) error {
	base := x.FS.PathBase(path)
	switch {
	case base == snapshotName || strings.HasPrefix(base, snapshotName+"."):
		return x.snapshot(path)
	case strings.HasSuffix(base, ".journal"):
		return journal.Inspect(x.FS, path, x.Emit, x.entry)
	case strings.HasSuffix(base, segmentSuffix):
		return x.segment(path)
	case strings.HasSuffix(base, indexSuffix):
		return x.index(path)
	}
	return fmt.Errorf("%s: not a file of a data directory: want snapshot, *.journal, *.log or *.index", path)
}

// segment tells of a segment's batches, up to the first place that is none.
func (x *Inspector) segment(path string) error {
	in, err := x.FS.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	f := &openFile{File: in, path: path}
	var buf []byte
	at, size := int64(0), info.Size()
	for at < size {
		if buf, err = f.readAt(buf, at, int(min(batch.HeaderSize, size-at))); err != nil {
			return err
		}
		h, err := batch.ParseHeader(buf)
		if err == nil && int64(h.Size()) > size-at {
			err = fmt.Errorf("batch of %d bytes goes beyond the end of the file", h.Size())
		}
		if err != nil {
			return x.Emit(inspect.New("end", "position", at, "reason", err.Error()))
		}
		if buf, err = f.readAt(buf, at, h.Size()); err != nil {
			return err
		}
		if err := x.batch(buf, &h, "position", at); err != nil {
			return err
		}
		at += int64(h.Size())
	}
	return x.Emit(inspect.New("end", "position", at, "reason", "end of the file"))
}

// batch tells of a batch, and of its records if they are asked for. where comes first.
func (x *Inspector) batch(raw []byte, h *batch.Header, where ...any) error {
	it := inspect.New("batch", where...)
	it.Add("baseOffset", h.BaseOffset, "lastOffset", h.LastOffset(), "count", h.Count, "baseSequence", h.BaseSequence)
	last := int32(batch.NoSequence)
	if h.BaseSequence != batch.NoSequence {
		last = h.LastSequence()
	}
	it.Add("lastSequence", last, "producerId", h.ProducerID, "producerEpoch", h.ProducerEpoch, "leaderEpoch", h.LeaderEpoch,
		"transactional", h.Attributes.Transactional(), "control", h.Attributes.Control())
	if h.Attributes.DeleteHorizon() {
		it.Add("deleteHorizon", h.BaseTimestamp)
	}
	timeType := "CreateTime"
	if h.Attributes.LogAppendTime() {
		timeType = "LogAppendTime"
	}
	it.Add("timeType", timeType, "maxTime", h.MaxTimestamp, "size", h.Size(), "codec", h.Attributes.Codec().String(),
		"crc", h.CRC, "valid", batch.Verify(raw, h) == nil)
	if err := x.Emit(it); err != nil || !x.Records {
		return err
	}
	return x.records(raw, h)
}

func (x *Inspector) records(raw []byte, h *batch.Header) error {
	if h.Attributes.Control() && h.Count > 0 {
		commit, ok := batch.ParseMarker(raw, h)
		if !ok {
			return x.Emit(inspect.New("fault", "reason", "control batch without a transaction marker"))
		}
		return x.Emit(inspect.New("marker", "offset", h.BaseOffset, "commit", commit))
	}
	r, err := batch.NewRecords(raw, h)
	if err != nil {
		return x.Emit(inspect.New("fault", "reason", err.Error()))
	}
	for r.Next() {
		rec := r.Record()
		it := inspect.New("record", "offset", rec.Offset, "time", rec.Timestamp)
		it.Bytes("key", rec.Key)
		it.Bytes("value", rec.Value)
		if err := x.Emit(it); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return x.Emit(inspect.New("fault", "reason", err.Error()))
	}
	return nil
}

// index tells of an index file.
func (x *Inspector) index(path string) error {
	b, err := readWhole(x.FS, path)
	if err != nil {
		return err
	}
	base, size := int64(0), int64(math.MaxInt64)
	if len(b) > indexHeaderSize { // whatever segment it is of
		r := reader{b: b[indexHeaderSize:]}
		base, size = int64(r.uvarint()), int64(r.uvarint())
	}
	idx, err := decodeIndexFile(b, base, size)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := x.Emit(inspect.New("index", "baseOffset", base, "segmentSize", size)); err != nil {
		return err
	}
	return x.indexEntries(idx)
}

func (x *Inspector) indexEntries(idx *segmentIndex) error {
	for _, k := range idx.blocks {
		if err := x.Emit(inspect.New("block", "offset", k.offset, "position", k.position, "maxTime", k.maxTime)); err != nil {
			return err
		}
	}
	for _, a := range idx.aborted {
		if err := x.Emit(inspect.New("aborted", "producerId", a.producer, "firstOffset", a.first, "markerOffset", a.last)); err != nil {
			return err
		}
	}
	return nil
}
