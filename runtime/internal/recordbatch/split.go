package recordbatch

import (
	"math"

	"github.com/millrace-io/millrace/topology"
)

// Copy appends the records of b for which keep holds, counted from 0, to an empty builder, with what was noted of them. The copy is
// compressed as b is, and not bounded: its records were in one batch before. b is as it was, and so is what
// Finish has returned.
func (b *Builder) Copy(to *Builder, keep func(i int) bool) error {
	to.Compress(b.codec)
	to.target, to.limit = math.MaxInt32, math.MaxInt32 // from another base timestamp, times may take more bytes
	if b.count == 0 {
		return nil
	}
	as := NoProducer
	if b.stands {
		as = b.finished
	}
	r, err := NewReader(Fetched{Records: b.Finish(as)})
	if err != nil {
		return err
	}
	defer r.Release()
	var raw topology.Raw
	for i := 0; ; i++ {
		ok, err := r.Next(&raw)
		if !ok || err != nil {
			return err
		}
		if !keep(i) {
			continue
		}
		if err := to.Append(raw.Key, raw.Value, raw.Timestamp, raw.Headers); err != nil {
			return err
		}
		if o, ok := b.Origin(i); ok {
			to.Note(&o)
		}
	}
}
