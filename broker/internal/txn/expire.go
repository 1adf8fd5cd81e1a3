package txn

import (
	"maps"
	"slices"
	"time"
)

// Recovered has the time of ids begin now whose records, of version 1, do not say when they were used. It is called once, before the
// first event.
func (c *Coordinator) Recovered(now time.Time) {
	for t := range maps.Values(c.transactions) {
		if t.used == 0 {
			t.used = now.UnixMilli()
		}
	}
}

// maxExpired bounds what is forgotten at once, in one entry.
const maxExpired = 1000

// Expire returns the records that forget the transactional ids which nobody has used for idle (T6), and whether there may be more of them.
// A producer that comes back later begins like a new one; its requests without that are refused with INVALID_PRODUCER_ID_MAPPING.
func (c *Coordinator) Expire(now time.Time, idle time.Duration) (records [][]byte, more bool) {
	before := now.Add(-idle).UnixMilli()
	for _, id := range slices.Sorted(maps.Keys(c.transactions)) {
		if t := c.transactions[id]; !t.open && t.used <= before {
			if len(records) == maxExpired {
				return records, true
			}
			records = append(records, encodeExpire(id))
		}
	}
	return records, false
}
