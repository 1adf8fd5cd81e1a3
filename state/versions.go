package state

import (
	"encoding/binary"

	"github.com/millrace-io/millrace/state/internal/keyschema"
	"github.com/millrace-io/millrace/state/internal/layer"
)

type slot = layer.Slot

// version is one version of a key.
type version struct {
	from    int64
	deleted bool
	value   []byte
}

// A chain is all versions of a key, newest first, each: time (8), length of the value + 1 or 0 for a delete (4), value.

const versionHead = 12

// cut takes the newest version off a chain.
func cut(chain string) (v version, rest string, err error) {
	if len(chain) < versionHead {
		return v, "", keyschema.ErrFormat
	}
	head := []byte(chain[:versionHead])
	v.from = int64(binary.BigEndian.Uint64(head))
	n := binary.BigEndian.Uint32(head[8:])
	if n == 0 {
		v.deleted = true
		return v, chain[versionHead:], nil
	}
	if uint64(n-1) > uint64(len(chain)-versionHead) {
		return v, "", keyschema.ErrFormat
	}
	end := versionHead + int(n-1)
	v.value = []byte(chain[versionHead:end])
	return v, chain[end:], nil
}

func versions(chain string) (list []version, err error) {
	for chain != "" {
		var v version
		if v, chain, err = cut(chain); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func appendVersion(dst []byte, v version) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(v.from))
	if v.deleted {
		return binary.BigEndian.AppendUint32(dst, 0)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v.value))+1)
	return append(dst, v.value...)
}

// endedBefore reports whether the last version of a chain is a delete from before low, or nothing is left of it.
func endedBefore(chain []byte, low int64) bool {
	if len(chain) < versionHead {
		return len(chain) == 0
	}
	return binary.BigEndian.Uint32(chain[8:]) == 0 && int64(binary.BigEndian.Uint64(chain)) < low
}

// insert puts v into a chain and leaves out what nobody can ask for any more: versions that were followed by another one at low
// or before, and a delete that is the last and older than low. It returns when the version after v begins, the end of time
// if there is none. A chain that cannot be read begins anew.
func insert(chain string, v version, low int64) (string, int64) {
	list, err := versions(chain)
	if err != nil {
		list = nil
	}
	out := make([]byte, 0, len(chain)+versionHead+len(v.value))
	next, to := int64(maxTime), int64(maxTime)
	add := func(w version) {
		gone := next <= low || w.deleted && next == maxTime && w.from < low
		if next = w.from; !gone {
			out = appendVersion(out, w)
		}
	}
	if v.deleted && len(list) > 0 && list[0].from == v.from && !list[0].deleted && (len(list) == 1 || list[1].deleted) {
		// The newest version is taken back, and there was none before it. Kafka Streams then forgets this delete, so that a
		// version that comes later is the newest even if it began earlier; every read gives the same.
		for _, w := range list[1:] {
			add(w)
		}
		return string(out), to
	}
	placed := false
	for _, w := range list {
		if !placed && w.from <= v.from {
			placed, to = true, next
			add(v)
		}
		if w.from != v.from {
			add(w)
		}
	}
	if !placed {
		to = next
		add(v)
	}
	return string(out), to
}

const maxTime = 1<<63 - 1

// restoreVersion makes one changelog record of a versioned store part of the chains that are being restored.
func (p *Partition) restoreVersion(key, value []byte, from int64) error {
	r := &p.restoring
	if !r.newest.ok {
		r.newest = p.newestSeen()
	}
	history := p.retention
	if low := r.newest.start - history; r.newest.ok && low <= r.newest.start && from < low {
		return nil
	}
	r.newest.see(from)
	chain, ok := r.chains[string(key)]
	if !ok {
		stored, found, err := p.get(r.buf[:0], layer.Hash(key), key)
		if err != nil {
			return err
		}
		if r.buf = stored; found {
			_, body, err := splitStored(stored)
			if err != nil {
				return err
			}
			chain = string(body)
		}
		if r.chains == nil {
			r.chains = map[string]string{}
		}
		r.order = append(r.order, string(key))
	}
	low := r.newest.start - history
	if low > r.newest.start {
		low = -maxTime
	}
	next, _ := insert(chain, version{from: from, deleted: value == nil, value: value}, low)
	r.size += int64(len(next) - len(chain))
	r.chains[string(key)] = next
	return nil
}

// settleVersions writes the chains restored so far to the log that RestoredTo commits, in the order of their keys' first records.
func (p *Partition) settleVersions() {
	r := &p.restoring
	for _, key := range r.order {
		var ts [8]byte
		r.log.Put(layer.Hash([]byte(key)), []byte(key), ts[:], []byte(r.chains[key]))
	}
	clear(r.chains)
	r.order, r.size = nil, 0
}
