package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/global"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// loadGlobals fills the global tables before the first task can run.
func (in *instance) loadGlobals(ctx context.Context) error {
	if len(in.topology.Globals) == 0 {
		return nil
	}
	if err := in.openGlobals(); err != nil {
		return err
	}
	f, err := client.NewFetcher(in.client, client.FetcherConfig{})
	if err != nil {
		return err
	}
	in.closeLater(func() error { f.Close(); return nil })
	names := make([]string, len(in.topology.Globals))
	for i, g := range in.topology.Globals {
		names[i] = g.Topic
	}
	topics, err := in.client.Topics(ctx, names...)
	if err != nil {
		return fmt.Errorf("load global tables: %w", err)
	}
	cfg := global.Config{Log: in.client, Fetcher: f, Bad: in.badGlobal, Logger: in.log}
	for i := range in.topology.Globals {
		g := &in.topology.Globals[i]
		take, err := in.taker(g)
		if err != nil {
			return err
		}
		partitions := len(topics[g.Topic].Partitions)
		if partitions == 0 { // an empty table would give wrong results
			return fmt.Errorf("global table %s: topic %s does not exist; was it deleted?", g.Name, g.Topic)
		}
		cfg.Tables = append(cfg.Tables, global.Table{Name: g.Name, Topic: g.Topic, Partitions: int32(partitions), Take: take})
	}
	in.tables = global.New(cfg)
	return in.tables.Load(ctx)
}

// taker returns what takes the records of a global table: its store, or the processor that fills the store (D-04).
func (in *instance) taker(g *topology.GlobalTable) (take func(topology.Coordinates, *topology.Raw) (decoded bool, err error), err error) {
	store := in.globals[g.Store]
	if g.Build == nil {
		return func(_ topology.Coordinates, r *topology.Raw) (bool, error) {
			return false, store.Apply(r.Key, r.Value, r.Timestamp)
		}, nil
	}
	s := &globalScope{in: in, table: g.Name}
	filler, err := g.Build(s, store)
	if err != nil {
		return nil, fmt.Errorf("global store %s: %w", g.Name, err)
	}
	if filler.Close != nil {
		in.closeLater(filler.Close)
	}
	return func(from topology.Coordinates, r *topology.Raw) (bool, error) {
		s.from = from
		return filler.Take(from, r)
	}, nil
}

// globalScope is what the processor of a global store reaches. It belongs to the goroutine that loads and follows global tables.
type globalScope struct {
	in    *instance
	table string
	from  topology.Coordinates // of the record at hand
}

func (s *globalScope) Now() int64 { return s.in.cfg.Now().UnixMilli() }

func (s *globalScope) Drop(reason topology.Reason, detail error) {
	s.in.dropGlobal(s.table, s.from, reason, detail)
}

// badGlobal asks a handler about a record that a global table could not take: the deserialisation handler, or, once it was decoded, the one for
// the processors of global stores (P-27).
func (in *instance) badGlobal(table string, from topology.Coordinates, r *topology.Raw, decoded bool, err error) error {
	handler, reason := in.cfg.Deserialization, topology.ReasonDeserialization
	if decoded {
		handler, reason = in.cfg.GlobalProcessing, topology.ReasonProcessing
	}
	if in.askHandler(handler, Failure{Node: table, Source: from, Raw: r, Timestamp: r.Timestamp, Err: err}) != Continue {
		in.logPanic(err)
		return fmt.Errorf("global table %s: %s-%d at offset %d: %w", table, from.Topic, from.Partition, from.Offset, err)
	}
	in.dropGlobal(table, from, topology.ReasonOf(err, reason), err)
	return nil
}

// dropGlobal counts and logs a record that a global table leaves out.
func (in *instance) dropGlobal(table string, from topology.Coordinates, reason topology.Reason, err error) {
	in.dropped.add(table, reason)
	in.log.Warn("record dropped", "topic", from.Topic, "partition", from.Partition, "offset", from.Offset, "node", table,
		"reason", string(reason), "err", err)
}

// askHandler asks a handler about a record of a global table. One that panics fails, as in a task.
func (in *instance) askHandler(h Handler, f Failure) Response {
	if h == nil {
		return Fail
	}
	r, err := task.Ask(h, f)
	if err != nil {
		in.log.Error("handler panicked", "node", f.Node, "err", err)
		return Fail
	}
	return r
}

// dropCounts counts dropped records by node and reason.
type dropCounts struct {
	mu struct {
		sync.Mutex
		counts map[Drop]int64 // their Count is 0
	}
}

func (d *dropCounts) add(node string, reason topology.Reason) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.counts == nil {
		d.mu.counts = make(map[Drop]int64)
	}
	d.mu.counts[Drop{Node: node, Reason: reason}]++
}

func (d *dropCounts) each(f func(d Drop, n int64)) {
	d.mu.Lock()
	counts := maps.Clone(d.mu.counts)
	d.mu.Unlock()
	for k, n := range counts {
		f(k, n)
	}
}

// openGlobals opens the stores of the global tables, which all tasks share.
func (in *instance) openGlobals() error {
	in.globals = make(map[string]state.GlobalLayer)
	for _, g := range in.topology.Globals {
		i := slices.IndexFunc(in.topology.Stores, func(s *state.Spec) bool { return s.Name == g.Store })
		layer, err := in.topology.Stores[i].Open(state.Env{})
		if err != nil {
			return fmt.Errorf("open store %q of global table %s: %w", g.Store, g.Name, err)
		}
		store, ok := layer.(state.GlobalLayer)
		if !ok {
			return fmt.Errorf("store %q of global table %s is a %T, which several tasks cannot share", g.Store, g.Name, layer)
		}
		in.globals[g.Store] = store
	}
	return nil
}
