package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/global"
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
	cfg := global.Config{Log: in.client, Fetcher: f, Bad: in.badGlobal, Logger: in.log}
	for _, g := range in.topology.Globals {
		cfg.Tables = append(cfg.Tables, global.Table{
			Name: g.Name, Topic: g.Topic, Partitions: in.plan.partitions(g.Topic), Store: in.globals[g.Store],
		})
	}
	in.tables = global.New(cfg)
	return in.tables.Load(ctx)
}

// badGlobal asks the deserialisation handler about a record that a global table could not take.
func (in *instance) badGlobal(table string, from topology.Coordinates, err error) error {
	if in.askHandler(Failure{Node: table, Source: from, Err: err}) == Fail {
		return fmt.Errorf("global table %s: %s-%d at offset %d: %w", table, from.Topic, from.Partition, from.Offset, err)
	}
	reason := topology.ReasonOf(err, topology.ReasonDeserialization)
	in.dropped.add(table, reason)
	in.log.Warn("record dropped", "topic", from.Topic, "partition", from.Partition, "offset", from.Offset, "node", table,
		"reason", string(reason), "err", err)
	return nil
}

// askHandler asks the deserialisation handler. One that panics fails, as in a task.
func (in *instance) askHandler(f Failure) (r Response) {
	if in.cfg.Deserialization == nil {
		return Fail
	}
	defer func() {
		if v := recover(); v != nil {
			in.log.Error("deserialization handler panicked", "panic", v)
			r = Fail
		}
	}()
	return in.cfg.Deserialization(f)
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
