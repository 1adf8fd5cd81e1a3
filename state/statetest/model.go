package statetest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
)

// place names an entry of either kind of store.
type place struct {
	key   string
	start int64 // of a window
}

// held is an entry of the model.
type held struct {
	value  string
	ts     int64
	header string // of a store that keeps headers, see shown
}

// shown is how the headers of a row are shown: nothing where there are none.
func shown(h serde.Headers) (s string) {
	for _, h := range h.All() {
		s += " " + h.Key + "=" + string(h.Value)
	}
	return s
}

// change is what Changes is expected to give.
type change struct {
	place
	old, new string // "-" if absent
	ts       int64
	header   string
}

// store is a typed store as the model's driver sees it.
type store interface {
	layer() state.Layer
	spec() *state.Spec
	// add reads and writes; it returns the text of the new value, and whether the store has taken it.
	add(p place, n, ts int64, h serde.Headers) (string, bool, error)
	put(p place, n, ts int64, h serde.Headers) (string, bool, error)
	delete(p place, ts int64, h serde.Headers) (bool, error)
	get(p place) (held, bool, error)
	// list iterates over a range that r chooses and returns what it must contain, too.
	list(r *rand.Rand, m *model) (got, want []string, err error)
	changes(f func(change) error) error
	open(state.Env) error
}

// logRecord is a record of the changelog.
type logRecord struct {
	key, value []byte
	ts         int64
	headers    []serde.Header
}

// changelog collects what is flushed; what is committed is the truth.
type changelog struct{ committed, open []logRecord }

func (c *changelog) Append(key, value []byte, ts int64) error {
	return c.AppendWith(nil, key, value, ts)
}

// AppendWith implements state.HeaderChangelog.
func (c *changelog) AppendWith(headers []serde.Header, key, value []byte, ts int64) error {
	r := logRecord{key: slices.Clone(key), ts: ts, headers: slices.Clone(headers)}
	if value != nil {
		r.value = append([]byte{}, value...)
	}
	c.open = append(c.open, r)
	return nil
}

// model is the truth: what the store must contain.
type model struct {
	committed, now map[place]held
	emitted        map[place]string // as of the last Changes, of the places written since
	order          []place          // of last writes, since the last Changes
	headers        map[place]string
	newest         int64 // -1: none
	newestBefore   int64 // as of the last commit
	retention      int64 // 0: no windows
}

func (m *model) kept(p place) bool {
	return m.retention == 0 || m.newest < 0 || p.start > m.newest-m.retention
}

// write notes that p changes.
func (m *model) write(p place, header string) {
	if _, ok := m.emitted[p]; !ok {
		m.emitted[p] = m.text(p)
	}
	m.order = append(slices.DeleteFunc(m.order, func(o place) bool { return o == p }), p)
	m.headers[p] = header
}

func (m *model) text(p place) string {
	if h, ok := m.now[p]; ok {
		return h.value
	}
	return "-"
}

// driver runs one store against the model.
type driver struct {
	t       testing.TB
	r       *rand.Rand
	storage Storage
	conf    state.Config
	db      *state.DB
	part    *state.Partition
	s       store
	log     *changelog
	m       *model
	deleted map[place]int64 // times of deletes, by place
}

var logID = state.Position{ClusterID: "cluster", TopicID: [16]byte{7}, Partition: 3}

func runModel(t testing.TB, storage Storage, c cache, newStore func() (store, int64)) {
	s, retention := newStore()
	d := &driver{
		t: t, r: newRand(t), storage: storage, s: s, log: &changelog{},
		conf: state.Config{Inline: true, CacheBytes: c.bytes, ApplyBytes: c.applyBytes, BulkBytes: 16 << 10},
		m: &model{
			committed: map[place]held{}, now: map[place]held{}, emitted: map[place]string{}, headers: map[place]string{},
			newest: -1, newestBefore: -1, retention: retention,
		},
	}
	d.open()
	for range opsPerRun {
		d.step()
	}
	d.flush()
	d.commit()
	d.compare()
	must(t, d.db.Close(), "close")
}

// step does one operation.
func (d *driver) step() {
	switch x := d.r.IntN(1000); {
	case x < 350:
		d.write(d.s.add)
	case x < 500:
		d.write(d.s.put)
	case x < 620:
		d.delete()
	case x < 850:
		d.get()
	case x < 900:
		d.list()
	case x < 930:
		d.changes()
	case x < 975:
		d.flush()
		if d.r.IntN(4) > 0 {
			d.commit()
		}
	case x < 985:
		d.abort()
	case x < 993:
		must(d.t, d.db.Sync(), "sync")
	case x < 997:
		d.reopen()
	default:
		d.reset()
	}
}

func (d *driver) open() {
	e, err := d.storage.Open()
	must(d.t, err, "open engine")
	d.db, err = state.NewDB(e, d.conf)
	must(d.t, err, "open db")
	d.task()
	d.restore()
}

// task makes a new typed store over the partition, as a task that is built anew does.
func (d *driver) task() {
	var err error
	d.part, err = d.db.Partition(d.s.spec(), logID.Partition)
	must(d.t, err, "open partition")
	must(d.t, d.s.open(state.Env{Committed: d.part, Changelog: d.log}), "open store")
}

// restore reads the changelog's tail.
func (d *driver) restore() {
	if pos, ok := d.part.Position(); ok {
		next := pos.Next
		if pos.Next = 0; pos != logID {
			d.t.Fatalf("position names another log: %+v", pos)
		}
		if next > int64(len(d.log.committed)) {
			d.t.Fatalf("position %d, the changelog ends at %d", next, len(d.log.committed))
		}
	}
	must(d.t, restoreTail(d.r, d.part, d.log.committed), "restore")
	must(d.t, d.s.open(state.Env{Committed: d.part, Changelog: d.log}), "open store")
}

func (d *driver) write(f func(p place, n, ts int64, h serde.Headers) (string, bool, error)) {
	p, n := d.place(), d.r.Int64N(100)
	ts, header := d.r.Int64N(1000), fmt.Sprint(d.r.IntN(100))
	h := serde.NewHeaders([]serde.Header{{Key: header}})
	if d.r.IntN(4) == 0 {
		h = h.With("more", []byte(header))
	}
	got, ok, err := f(p, n, ts, h)
	must(d.t, err, "write %v", p)
	if ok != d.m.kept(p) {
		d.t.Fatalf("write %v taken: %v, newest %d", p, ok, d.m.newest)
	}
	if ok {
		d.m.write(p, header)
		d.m.now[p] = held{value: got, ts: ts}
		if d.s.spec().KeepsHeaders {
			d.m.now[p] = held{got, ts, shown(h)}
		}
		if d.m.retention > 0 {
			d.m.newest = max(d.m.newest, p.start)
		}
	}
}

func (d *driver) delete() {
	p, ts, header := d.place(), d.r.Int64N(1000), fmt.Sprint(d.r.IntN(100))
	ok, err := d.s.delete(p, ts, serde.NewHeaders([]serde.Header{{Key: header}}))
	must(d.t, err, "delete %v", p)
	if ok != d.m.kept(p) {
		d.t.Fatalf("delete %v taken: %v, newest %d", p, ok, d.m.newest)
	}
	if ok {
		d.m.write(p, header)
		delete(d.m.now, p)
		if d.deleted == nil {
			d.deleted = map[place]int64{}
		}
		d.deleted[p] = ts
	}
}

func (d *driver) get() {
	p := d.place()
	got, ok, err := d.s.get(p)
	must(d.t, err, "get %v", p)
	want, exists := d.m.now[p]
	exists = exists && d.m.kept(p)
	if ok != exists || ok && got != want {
		d.t.Fatalf("get %v: %v, %v; want %v, %v", p, got, ok, want, exists)
	}
}

func (d *driver) list() {
	got, want, err := d.s.list(d.r, d.m)
	must(d.t, err, "list")
	if !slices.Equal(got, want) {
		d.t.Fatalf("range:\n got %v\nwant %v", got, want)
	}
}

func (d *driver) changes() {
	var want []change
	for _, p := range d.m.order {
		c := change{place: p, old: d.m.emitted[p], new: d.m.text(p), header: d.m.headers[p]}
		if c.old == "-" && c.new == "-" {
			continue
		}
		if c.ts = d.m.now[p].ts; c.new == "-" {
			c.ts = d.deleted[p]
		}
		want = append(want, c)
	}
	var got []change
	must(d.t, d.s.changes(func(c change) error { got = append(got, c); return nil }), "changes")
	if !slices.Equal(got, want) {
		d.t.Fatalf("changes:\n got %v\nwant %v", got, want)
	}
	d.m.order = nil
	clear(d.m.emitted)
}

func (d *driver) flush() {
	must(d.t, d.s.layer().Flush(), "flush")
	if d.s.layer().Dirty() {
		d.t.Fatal("dirty after flush")
	}
}

func (d *driver) commit() {
	d.flush()
	d.m.newest = d.m.newestBefore
	for _, r := range d.log.open {
		switch timed, ok := d.s.(interface{ logTime(key []byte) int64 }); {
		case ok:
			d.m.newest = max(d.m.newest, timed.logTime(r.key))
		case d.m.retention > 0: // key, start (8), sequence (4)
			d.m.newest = max(d.m.newest, int64(binary.BigEndian.Uint64(r.key[len(r.key)-12:])))
		}
	}
	d.log.committed, d.log.open = append(d.log.committed, d.log.open...), nil
	must(d.t, d.s.layer().Commit(int64(len(d.log.committed))), "commit")
	if pos, _ := d.part.Position(); pos.Next != int64(len(d.log.committed)) {
		d.t.Fatalf("position %d after a commit at %d", pos.Next, len(d.log.committed))
	}
	for p := range d.m.now {
		if !d.m.kept(p) {
			delete(d.m.now, p)
		}
	}
	d.m.committed = cloneMap(d.m.now)
	d.m.newestBefore = d.m.newest
	d.m.order = nil
	clear(d.m.emitted)
}

// abort drops the transaction; half of the time it builds the store anew, as the runtime does.
func (d *driver) abort() {
	d.s.layer().Drop()
	d.rollBack()
	if d.r.IntN(2) == 0 {
		d.task()
	}
}

func (d *driver) rollBack() {
	d.log.open = nil
	d.m.now = cloneMap(d.m.committed)
	d.m.newest = d.m.newestBefore
	d.m.order = nil
	clear(d.m.emitted)
}

// reopen closes the DB, losing the open transaction, and opens it again.
func (d *driver) reopen() {
	must(d.t, d.db.Close(), "close")
	d.rollBack()
	d.open()
	d.compare()
}

// reset rebuilds the partition from the changelog.
func (d *driver) reset() {
	d.rollBack()
	must(d.t, d.part.Reset(logID), "reset")
	d.restore()
	d.compare()
}

// compare reads the whole store.
func (d *driver) compare() {
	for range 4 {
		d.list()
	}
}

func (d *driver) place() place {
	p := place{key: fmt.Sprintf("k%d", d.r.IntN(120))}
	if d.r.IntN(4) == 0 {
		p.key = p.key[:1+d.r.IntN(len(p.key))] // keys that others begin with
	}
	if d.m.retention > 0 {
		p.start = d.m.newest + d.r.Int64N(windowStep)
		if d.r.IntN(8) > 0 {
			p.start -= d.r.Int64N(d.m.retention + d.m.retention/4)
		}
		p.start = max(0, p.start)
		p.start -= p.start % 10
	}
	return p
}

func cloneMap(m map[place]held) map[place]held {
	c := make(map[place]held, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}
