//go:build planted

package state

import (
	"bytes"
	"os"

	"github.com/millrace-io/millrace/state/internal/keyschema"
)

// applyApart is a planted bug: positions are written in a batch of their own, before the data that they speak of (against P1).
func (db *DB) applyApart(runs []*run) (planted bool, err error) {
	if os.Getenv("MILLRACE_PLANTED") != "position-apart" {
		return false, nil
	}
	lo, hi := keyschema.RecordRange()
	var positions, data Batch
	for _, r := range runs {
		err := r.write(func(op Op, a, b []byte) error {
			if bytes.Compare(lo, a) <= 0 && bytes.Compare(a, hi) < 0 {
				positions.put(op, a, b)
			} else {
				data.put(op, a, b)
			}
			return nil
		})
		if err != nil {
			return true, err
		}
	}
	if err := db.engine.Apply(&positions); err != nil {
		return true, err
	}
	return true, db.engine.Apply(&data)
}
