package sim

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
	"github.com/millrace-io/millrace/topology"
)

// producer is one worker's: what the client's producer does, over the model. Fields are guarded by the world's mutex.
type producer struct {
	in      *instance
	name    string
	session session
	lives   int // sessions so far: what an earlier one sent means nothing any more
	open    bool
	offered map[client.TopicPartition]client.Committed // of the open transaction, accepted by the log
	err     error
	sent    int // batches without an answer
	acked   int // batches of this transaction
	lanes   map[client.TopicPartition]*lane
	next    map[client.TopicPartition]int64
	built   bool // a record was buffered in this transaction
}

func newProducer(in *instance, slot int) *producer {
	return &producer{in: in, name: fmt.Sprintf("%s/%d", in.name, slot), session: session{id: fmt.Sprintf("%s-%d", in.name, slot)}}
}

// Init begins a new session.
func (p *producer) Init(ctx context.Context) error {
	w := p.in.world
	w.mu.Lock()
	p.lives++
	p.sent, p.acked, p.err, p.open, p.built = 0, 0, nil, false, false
	p.lanes, p.next = make(map[client.TopicPartition]*lane), make(map[client.TopicPartition]int64)
	p.offered = nil
	w.mu.Unlock()
	s := session{id: p.session.id}
	err := p.in.ask(ctx, &call{name: p.name + " init", apply: func() (bool, error) {
		return w.log.init(&s, w.transaction), nil
	}})
	if err == nil {
		w.mu.Lock()
		p.session = s
		w.mu.Unlock()
	}
	return err
}

// Builder returns an empty batch.
func (p *producer) Builder() *recordbatch.Builder {
	w := p.in.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.built {
		p.built = true
		p.in.passLocked(c2)
	}
	return recordbatch.NewBuilder(0, 0)
}

// Send hands a batch over; its answer is waited for by Flush.
func (p *producer) Send(_ context.Context, tp client.TopicPartition, b *recordbatch.Builder) error {
	records, err := recordsOf(b)
	if err != nil {
		return err
	}
	w := p.in.world
	w.mu.Lock()
	if p.err != nil {
		w.mu.Unlock()
		return p.err
	}
	if p.lanes[tp] == nil {
		p.lanes[tp] = &lane{}
	}
	p.begin()
	p.sent++
	s, life := p.session, p.lives
	c := &call{in: p.in, name: fmt.Sprintf("%s produce %d to %v", p.name, len(records), tp), lane: p.lanes[tp]}
	c.apply = func() (bool, error) {
		next, done, err := w.log.produce(s, tp, records, timeNow())
		if !done || p.lives != life || p.in.dead {
			return done, err
		}
		p.sent--
		switch {
		case err == nil:
			p.next[tp] = next
			p.acked++
			if p.sent > 0 {
				p.in.passLocked(c3)
			}
		case p.err == nil:
			p.err = err
		}
		return true, err
	}
	w.mu.Unlock()
	if !p.in.arrive(c) {
		return errCrashed
	}
	return nil
}

// begin begins a transaction if none is open.
func (p *producer) begin() {
	if !p.open {
		p.open = true
		clear(p.next)
	}
}

func recordsOf(b *recordbatch.Builder) (records []record, err error) {
	r, err := recordbatch.NewReader(recordbatch.Fetched{Records: b.Finish(recordbatch.NoProducer)})
	if err != nil {
		return nil, err
	}
	var raw topology.Raw
	for {
		ok, err := r.Next(&raw)
		if !ok || err != nil {
			return records, err
		}
		records = append(records, record{key: clone(raw.Key), value: clone(raw.Value), timestamp: raw.Timestamp})
	}
}

// clone keeps the difference between null and empty.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// Flush waits for the answers to all batches.
func (p *producer) Flush(ctx context.Context) error {
	err := p.in.ask(ctx, &call{name: p.name + " flush", local: true, apply: func() (bool, error) {
		return p.sent == 0 || p.err != nil, p.err
	}})
	if p.in.pass(c4) {
		return errCrashed
	}
	return err
}

// Refusals is what the log has refused: nothing, here.
func (p *producer) Refusals() []client.Refusal { return nil }

// Resume is not called.
func (p *producer) Resume(client.TopicPartition) error { return nil }

// Next returns the offset after the last batch of a partition that was acknowledged in this transaction.
func (p *producer) Next(tp client.TopicPartition) (int64, bool) {
	p.in.world.mu.Lock()
	defer p.in.world.mu.Unlock()
	n, ok := p.next[tp]
	return n, ok
}

// CommitOffsets adds offsets to the transaction.
func (p *producer) CommitOffsets(ctx context.Context, id client.Identity, offsets map[client.TopicPartition]client.Committed) error {
	w := p.in.world
	w.mu.Lock()
	s := p.session
	p.begin()
	p.in.committing++
	if p.in.joining > 0 {
		w.violate("G2", "%s commits offsets while its member joins", p.in.name)
	}
	w.mu.Unlock()
	c := &call{name: p.name + " offsets", twice: true}
	c.apply = func() (bool, error) {
		done, err := w.log.commitOffsets(s, id, offsets, timeNow())
		if done && err == nil && p.session == s {
			p.offered = offsets
		}
		if !c.applied {
			p.in.passLocked(c5)
		}
		return done, err
	}
	err := p.in.ask(ctx, c)
	w.mu.Lock()
	p.in.committing--
	w.mu.Unlock()
	if err == nil && p.in.pass(c6) {
		return errCrashed
	}
	return err
}

// InTransaction reports whether there is something to end.
func (p *producer) InTransaction() bool {
	p.in.world.mu.Lock()
	defer p.in.world.mu.Unlock()
	return p.open
}

// End ends the transaction.
func (p *producer) End(ctx context.Context, commit bool) error {
	w := p.in.world
	w.mu.Lock()
	s, open := p.session, p.open
	w.mu.Unlock()
	if !open {
		return nil
	}
	var next session
	c := &call{name: fmt.Sprintf("%s end %v", p.name, commit), twice: true}
	c.apply = func() (bool, error) {
		if !c.applied && p.in.armed.point == c7 && w.rng.IntN(2) == 0 && p.in.passLocked(c7) {
			return false, nil // the instance dies, the request is on its way
		}
		next = s
		err := w.log.end(&next, commit)
		if !c.applied {
			p.in.passLocked(c7)
		}
		return true, err
	}
	if err := p.in.ask(ctx, c); err != nil {
		return err
	}
	if p.in.pass(c8) {
		return errCrashed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p.session, p.open, p.offered, p.acked, p.built = next, false, nil, 0, false
	return nil
}
