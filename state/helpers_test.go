package state_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
)

// journal is a changelog that keeps what it is given, as text.
type journal struct{ records []string }

func (j *journal) Append(key, value []byte, ts int64) error {
	v := "null"
	if value != nil {
		v = fmt.Sprintf("%q", value)
	}
	j.records = append(j.records, fmt.Sprintf("%q = %s @%d", key, v, ts))
	return nil
}

func (j *journal) take() []string {
	r := j.records
	j.records = nil
	return r
}

// engine is one in memory that counts, and fails or waits on demand.
type engine struct {
	*memstore.Engine
	gets, scans, applies, syncs atomic.Int64
	gate                        chan struct{} // Apply waits for it, if set
	fail                        error         // of Apply
	failScan, failSync          error
	ranges                      atomic.Int64 // removed by Apply
}

func newEngine() *engine { return &engine{Engine: memstore.New()} }

func (e *engine) Get(dst, key []byte) ([]byte, bool, error) {
	e.gets.Add(1)
	return e.Engine.Get(dst, key)
}

func (e *engine) Scan(lo, hi []byte, reverse bool) state.Cursor {
	e.scans.Add(1)
	if e.failScan != nil {
		return failedScan{e.failScan}
	}
	return e.Engine.Scan(lo, hi, reverse)
}

// failedScan is a cursor that has met an error before the first entry.
type failedScan struct{ err error }

func (failedScan) Next() bool    { return false }
func (failedScan) Key() []byte   { return nil }
func (failedScan) Value() []byte { return nil }
func (c failedScan) Err() error  { return c.err }
func (failedScan) Close() error  { return nil }

func (e *engine) Sync() error {
	e.syncs.Add(1)
	return errors.Join(e.failSync, e.Engine.Sync())
}

func (e *engine) Apply(b *state.Batch) error {
	e.applies.Add(1)
	if e.gate != nil {
		<-e.gate
	}
	if e.fail != nil {
		return e.fail
	}
	err := b.Each(func(op state.Op, _, _ []byte) error {
		if op == state.OpDeleteRange {
			e.ranges.Add(1)
		}
		return nil
	})
	return errors.Join(err, e.Engine.Apply(b))
}

// Close keeps the content, so that a test can open it again.
func (e *engine) Close() error { return nil }

// len counts the keys with that prefix.
func (e *engine) len(t testing.TB, prefix string) (n int) {
	t.Helper()
	c := e.Engine.Scan(nil, nil, false)
	for c.Next() {
		if strings.HasPrefix(string(c.Key()), prefix) {
			n++
		}
	}
	must(t, errors.Join(c.Err(), c.Close()))
	return n
}

const data = "\x02" // begins the keys of entries

func openDB(t testing.TB, e state.Engine, c state.Config) *state.DB {
	t.Helper()
	db, err := state.NewDB(e, c)
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil && !errors.Is(err, state.ErrClosed) {
			t.Error(err)
		}
	})
	return db
}

func openPartition(t testing.TB, db *state.DB, spec *state.Spec) *state.Partition {
	t.Helper()
	p, err := db.Partition(spec, 0)
	must(t, err)
	if _, ok := p.Position(); !ok {
		must(t, p.Reset(state.Position{ClusterID: "c"}))
	}
	return p
}

func openLayer[L state.Layer](t testing.TB, p *state.Partition, spec *state.Spec, log state.Changelog) L {
	t.Helper()
	l, err := spec.Open(state.Env{Committed: p, Changelog: log})
	must(t, err)
	return l.(L)
}

type (
	strings64 = state.KeyValue[string, int64]
	docs      = state.KeyValue[string, *doc]
)

var kvSpec = state.KeyValueSpec("kv", stringSerde{}, int64Serde{})

func openKV(t testing.TB) (*strings64, *journal) {
	j := &journal{}
	db := openDB(t, newEngine(), state.Config{Inline: true})
	return openLayer[*strings64](t, openPartition(t, db, kvSpec), kvSpec, j), j
}

// doc is a value that is not plain.
type doc struct{ words []string }

type docSerde struct{}

func (docSerde) Append(dst []byte, d *doc) ([]byte, error) {
	return append(dst, strings.Join(d.words, " ")...), nil
}
func (docSerde) Decode(src []byte) (*doc, error) { return &doc{strings.Fields(string(src))}, nil }

var docSpec = state.KeyValueSpec("docs", stringSerde{}, docSerde{})

func openDocs(t testing.TB) (*docs, *state.Partition) {
	db := openDB(t, newEngine(), state.Config{Inline: true})
	p := openPartition(t, db, docSpec)
	return openLayer[*docs](t, p, docSpec, &journal{}), p
}

var none = serde.Headers{}

func header(s string) serde.Headers { return serde.NewHeaders([]serde.Header{{Key: s}}) }

func maybe[V any](m serde.Maybe[V]) string {
	if v, ok := m.Get(); ok {
		return fmt.Sprint(v)
	}
	return "-"
}

// changesOf drains a store's changes into text: key, old > new, time, headers.
func changesOf[V any](t testing.TB, s *state.KeyValue[string, V]) (list []string) {
	t.Helper()
	must(t, s.Changes(func(k string, c state.Change[V], ts int64, h serde.Headers) error {
		line := fmt.Sprintf("%s: %s > %s @%d", k, maybe(c.Old), maybe(c.New), ts)
		for _, h := range h.All() {
			line += " " + h.Key
		}
		list = append(list, line)
		return nil
	}))
	return list
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}
