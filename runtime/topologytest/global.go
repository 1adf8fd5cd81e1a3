package topologytest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// globalReader takes the records of a global table's topic, as they are written.
type globalReader struct {
	d        *Driver
	name     string
	instance topology.GlobalInstance
	from     topology.Coordinates // of the record at hand
}

// openGlobal opens the store of a global table, and the processor that fills it, if there is one.
func (d *Driver) openGlobal(g *topology.GlobalTable) (state.GlobalLayer, error) {
	i := slices.IndexFunc(d.top.Stores, func(s *state.Spec) bool { return s.Name == g.Store })
	layer, err := d.top.Stores[i].Open(state.Env{})
	if err != nil {
		return nil, err
	}
	store, ok := layer.(state.GlobalLayer)
	if !ok {
		return nil, fmt.Errorf("store %s is a %T, which takes no records of a topic", g.Store, layer)
	}
	r := &globalReader{d: d, name: g.Name}
	if g.Build == nil {
		r.instance.Take = func(_ topology.Coordinates, raw *topology.Raw) (bool, error) {
			return false, store.Apply(raw.Key, raw.Value, raw.Timestamp)
		}
	} else if r.instance, err = g.Build(r, store); err != nil {
		return nil, err
	}
	d.globals[g.Topic] = r
	return store, nil
}

// Now implements topology.GlobalScope.
func (r *globalReader) Now() int64 { return r.d.now.UnixMilli() }

// Drop implements topology.GlobalScope.
func (r *globalReader) Drop(reason topology.Reason, detail error) {
	r.d.dropped[Drop{Node: r.name, Reason: reason}]++
	r.d.cfg.logger.Warn("record dropped", "topic", r.from.Topic, "partition", r.from.Partition, "offset", r.from.Offset, "node", r.name,
		"reason", string(reason), "err", detail)
}

// take takes one record. The handlers decide about one that fails.
func (r *globalReader) take(from topology.Coordinates, raw *topology.Raw) error {
	r.from = from
	decoded, err := r.instance.Take(from, raw)
	if err == nil {
		return nil
	}
	handler, reason := r.d.cfg.handlers.deserialization, topology.ReasonDeserialization
	if decoded {
		handler, reason = r.d.cfg.handlers.global, topology.ReasonProcessing
	}
	response := Fail
	if handler != nil {
		var problem error
		response, problem = task.Ask(handler, Failure{Node: r.name, Source: from, Raw: raw, Timestamp: raw.Timestamp, Err: err})
		err = errors.Join(err, problem)
	}
	if response != Continue {
		return fmt.Errorf("global table %s: %s-%d at offset %d: %w", r.name, from.Topic, from.Partition, from.Offset, err)
	}
	r.Drop(topology.ReasonOf(err, reason), err)
	return nil
}
