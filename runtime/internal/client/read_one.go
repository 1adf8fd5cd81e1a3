package client

import (
	"context"
	"errors"
	"time"

	"github.com/millrace-io/millrace/topology"
)

// readTimeout bounds ReadRecord.
const readTimeout = 5 * time.Second

// ReadRecord reads one record, whose slices are the caller's. It returns nil if the log has it no more: it was compacted away or is older than
// what is kept. It makes connections of its own: it is for what is rare.
func (c *Client) ReadRecord(ctx context.Context, tp TopicPartition, offset int64) (*topology.Raw, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	f, err := NewFetcher(c, FetcherConfig{ReadUncommitted: true, FromLeader: true, MaxPartitionBytes: 64 << 10})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	f.Add(tp, offset)
	for {
		for _, got := range f.Take(nil) {
			if got.Err != nil {
				if _, ok := errors.AsType[*OutOfRangeError](got.Err); ok {
					return nil, nil
				}
				return nil, got.Err
			}
			if got.Batch == nil && got.Lag == 0 {
				return nil, nil
			}
			if raw, err, done := findRecord(&got, offset); done {
				return raw, err
			}
		}
		select {
		case <-f.Ready():
		case <-ctx.Done():
			return nil, doing(ctx.Err(), "read %s-%d at offset %d", tp.Topic, tp.Partition, offset)
		}
	}
}

// findRecord looks for a record in a batch, and reports whether it was found or there is no more to look for.
func findRecord(got *Fetched, offset int64) (raw *topology.Raw, err error, done bool) { //nolint:revive // done says whether the others mean something
	if got.Batch == nil {
		return nil, nil, false
	}
	var r topology.Raw
	for {
		ok, err := got.Batch.Next(&r)
		switch {
		case err != nil:
			return nil, err, true
		case !ok:
			end := got.Batch.End()
			got.Batch.Release()
			return nil, nil, end > offset
		case r.Offset == offset: // the batch is not released: the record's slices are of it
			return &r, nil, true
		case r.Offset > offset:
			return nil, nil, true
		}
	}
}
