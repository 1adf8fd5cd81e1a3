package pebblestore

import (
	"bytes"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// points reads single keys through iterators that are kept between two batches: an iterator, unlike Pebble's Get, can use
// the filters of the bottom level, so that a key that is absent costs no block read.
type points struct {
	db *pebble.DB
	mu struct {
		sync.Mutex
		free  []*pebble.Iterator // none has seen a batch before the current generation
		epoch int
	}
}

// maxFree bounds the iterators kept, which pin tables that compactions have replaced.
const maxFree = 4

func (p *points) get(dst, key []byte) (val []byte, ok bool, err error) {
	it, epoch, err := p.take()
	if err != nil {
		return dst, false, err
	}
	if ok = it.SeekPrefixGE(key) && bytes.Equal(it.Key(), key); ok {
		v, err := it.ValueAndErr()
		if err != nil {
			return dst, false, errors.Join(err, it.Close())
		}
		dst = append(dst, v...)
	}
	if err := it.Error(); err != nil {
		_ = it.Close() // says the same
		return dst, false, err
	}
	return dst, ok, p.give(it, epoch)
}

func (p *points) take() (*pebble.Iterator, int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.mu.free) - 1; n >= 0 {
		it := p.mu.free[n]
		p.mu.free = p.mu.free[:n]
		return it, p.mu.epoch, nil
	}
	it, err := p.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	return it, p.mu.epoch, err
}

func (p *points) give(it *pebble.Iterator, epoch int) error {
	p.mu.Lock()
	if epoch == p.mu.epoch && len(p.mu.free) < maxFree {
		p.mu.free = append(p.mu.free, it)
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	return it.Close()
}

// renew lets go of the iterators that do not see the newest batch.
func (p *points) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.epoch++
	for _, it := range p.mu.free {
		_ = it.Close() // its error has been returned by the read that met it
	}
	p.mu.free = p.mu.free[:0]
}
