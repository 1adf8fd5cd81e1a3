//go:build planted

package sim

import (
	"testing"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/planted"
	"github.com/millrace-io/millrace/topology"
)

// enoughToCatch is how many seeds a bug may survive.
const enoughToCatch = 600

// Every planted bug is caught.
func TestPlanted(t *testing.T) {
	for _, bug := range planted.Bugs {
		t.Run(string(bug), func(t *testing.T) {
			t.Setenv("MILLRACE_PLANTED", string(bug))
			for s := uint64(1); s <= enoughToCatch; s++ {
				if r := simulate(t, s, false); len(r.violations) > 0 {
					t.Logf("caught with seed %d: %.300s", s, r.violations[0])
					return
				}
			}
			t.Errorf("%d seeds have not caught it", enoughToCatch)
		})
	}
}

// SendOutside writes a record that no transaction can take back.
func (p *producer) SendOutside(tp client.TopicPartition, r *topology.Raw) error {
	w := p.in.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.in.dead {
		return errCrashed
	}
	to := w.log.partition(tp)
	to.records = append(to.records, record{key: clone(r.Key), value: clone(r.Value), timestamp: r.Timestamp, fate: visible})
	return nil
}
