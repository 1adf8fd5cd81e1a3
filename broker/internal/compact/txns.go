package compact

import "github.com/millrace-io/millrace/broker/internal/batch"

// Aborted is an aborted transaction: its data is what the producer wrote in [First, Last), Last is its marker.
type Aborted struct {
	Producer    int64
	First, Last int64
}

// txns follows the transactions of a log while its batches go by.
type txns struct {
	aborted map[int64][]Aborted // by producer, those that have not ended yet, by first offset
	open    map[int64]bool      // producers of which a batch of a transaction was seen, and not yet the marker
}

func newTxns(aborted []Aborted) txns {
	t := txns{aborted: map[int64][]Aborted{}, open: map[int64]bool{}}
	for _, a := range aborted {
		t.aborted[a.Producer] = append(t.aborted[a.Producer], a)
	}
	return t
}

// data notes a batch that is no marker, and reports whether it was aborted.
func (t *txns) data(h *batch.Header) bool {
	if !h.Attributes.Transactional() {
		return false
	}
	t.open[h.ProducerID] = true
	mine := t.aborted[h.ProducerID]
	for len(mine) > 0 && mine[0].Last <= h.BaseOffset {
		mine = mine[1:] // its marker is gone
	}
	t.aborted[h.ProducerID] = mine
	return len(mine) > 0 && mine[0].First <= h.BaseOffset
}

// marker notes a control batch, and reports whether any batch of its transaction was seen. For an aborted one with such it
// returns the transaction.
func (t *txns) marker(h *batch.Header) (seen bool, aborted *Aborted) {
	seen = t.open[h.ProducerID]
	delete(t.open, h.ProducerID)
	for _, a := range t.aborted[h.ProducerID] {
		if seen && a.Last == h.BaseOffset {
			return true, &a
		}
	}
	return seen, nil
}
