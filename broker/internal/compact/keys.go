package compact

import "hash/maphash"

// slotBytes is what one key takes in memory.
const slotBytes = 24

// Keys maps the keys of a range of a log to the offset of their last record. It keeps 128 bits of a hash whose seeds are random for
// every Keys, so that nobody can make two keys meet.
type Keys struct {
	seeds [2]maphash.Seed
	slots []slot
	room  int // for more keys

	// Latest is the offset up to which, inclusive, every record was seen, now or by an earlier round.
	Latest int64
}

// slot is free if after is 0.
type slot struct {
	hash  [2]uint64
	after int64 // the last offset + 1
}

// NewKeys returns Keys for up to that many records, of at most that many bytes.
func NewKeys(records int64, maxBytes int) *Keys {
	n := max(min(records+records/3+1, int64(maxBytes/slotBytes)), 2) // one slot is free at least
	return &Keys{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, slots: make([]slot, n), room: int(n * 3 / 4)}
}

// Put notes that key was written at offset, which is higher than any before. It returns false, and notes nothing, if the key is new
// and there is no room.
func (k *Keys) Put(key []byte, offset int64) bool {
	s := k.find(key)
	if s.after == 0 {
		if k.room == 0 {
			return false
		}
		k.room--
		s.hash = k.hash(key)
	}
	s.after = offset + 1
	return true
}

// Last returns the offset of the key's last record in the range, or -1.
func (k *Keys) Last(key []byte) int64 { return k.find(key).after - 1 }

func (k *Keys) hash(key []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(k.seeds[0], key), maphash.Bytes(k.seeds[1], key)}
}

// find returns the key's slot, or the free one where it belongs. At least a quarter of all are free.
func (k *Keys) find(key []byte) *slot {
	h := k.hash(key)
	for i := h[0] % uint64(len(k.slots)); ; i++ {
		if i == uint64(len(k.slots)) {
			i = 0
		}
		if s := &k.slots[i]; s.after == 0 || s.hash == h {
			return s
		}
	}
}
