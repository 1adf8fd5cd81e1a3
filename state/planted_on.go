//go:build planted

package state

import (
	"bytes"
	"os"

	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

// planted reports whether a bug is planted.
func planted(bug string) bool { return os.Getenv("MILLRACE_PLANTED") == bug }

// applyApart is a planted bug: positions are written in a batch of their own, before the data that they speak of (against P1).
func (db *DB) applyApart(runs []*run) (done bool, err error) {
	if !planted("position-apart") {
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

// PlantedBugs are those that package statetest has to catch.
var PlantedBugs = []string{plantedComplete, plantedTombstone, plantedAliased, plantedExpiry}

// keepObjects is for plantedAliased: decoded objects that user code has seen stay what the store has.
func (t *transaction[V]) keepObjects() {
	t.table.All(func(s layer.Slot) bool {
		it := t.table.At(s)
		b, err := []byte(nil), error(nil)
		if it.flags&flagObject != 0 {
			b, err = t.encode(s, it.v)
		}
		if b == nil || err != nil {
			t.table.Remove(s)
			t.kept.remove(s)
			return true
		}
		it.last, it.base, it.blob = 0, 0, t.keep(b)
		return true
	})
}
