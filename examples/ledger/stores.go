package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/pebblestore"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// readStores returns what the state directory of a stopped instance holds of the stores of both applications.
func readStores(ctx context.Context, instance, dir string, n names, accounts int) ([]dump, error) {
	bankTop, err := bank(n, accounts)
	if err != nil {
		return nil, err
	}
	viewsTop, err := views(n)
	if err != nil {
		return nil, err
	}
	var dumps []dump
	for _, a := range []struct {
		id  string
		top *topology.Topology
	}{{n.bank(), bankTop}, {n.views(), viewsTop}} {
		d, err := readState(ctx, instance, filepath.Join(dir, a.id, "state"), a.id, a.top)
		if err != nil {
			return nil, fmt.Errorf("state of %s on %s: %w", a.id, instance, err)
		}
		dumps = append(dumps, d...)
	}
	return dumps, nil
}

func readState(ctx context.Context, instance, dir, app string, top *topology.Topology) (dumps []dump, err error) {
	logger := slog.New(slog.DiscardHandler)
	engine, err := pebblestore.Open(dir, pebblestore.Options{Logger: logger})
	if err != nil {
		return nil, err
	}
	db, err := state.NewDB(engine, state.Config{Logger: logger})
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	stored, err := db.Stored()
	if err != nil {
		return nil, err
	}
	for _, spec := range top.Stores {
		for _, sp := range stored {
			if sp.Store != spec.Name || !spec.Logging {
				continue
			}
			partition, err := db.Partition(spec, sp.Partition)
			if err != nil {
				return nil, err
			}
			position, ok := partition.Position()
			if !ok {
				continue // nothing was ever in it
			}
			rows, err := readPartition(spec, partition)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", sp, err)
			}
			dumps = append(dumps, dump{instance, topology.ChangelogTopic(app, spec.Name), sp.Partition, position.Next, rows})
		}
	}
	return dumps, ctx.Err()
}

// waits stands for the value of what a buffer holds: its changelog has it in a form of its own, with the record's way to it.
const waits = "waits"

// readPartition returns the rows of a store partition as its changelog writes them.
func readPartition(spec *state.Spec, p *state.Partition) (map[string]string, error) {
	layer, err := spec.Open(state.Env{Committed: p})
	if err != nil {
		return nil, err
	}
	rows := make(map[string]string)
	switch s := layer.(type) {
	case *balanceStore:
		return readJSON(s)
	case *state.KeyValue[string, entry]:
		return readJSON(s)
	case *state.KeyValue[string, int64]:
		for row, err := range s.Range(serde.None[string](), serde.None[string]()) {
			if err != nil {
				return nil, err
			}
			rows[row.Key] = string(binary.BigEndian.AppendUint64(nil, uint64(row.Value)))
		}
	case *state.Window[string, int64]:
		for row, err := range s.FetchAll(0, math.MaxInt64) {
			if err != nil {
				return nil, err
			}
			key := windowKey(row.Key, row.Start) + "\x00\x00\x00\x00"
			rows[key] = string(binary.BigEndian.AppendUint64(nil, uint64(row.Value)))
		}
	case *state.Session[string, int64]:
		return rows, s.All(0, math.MaxInt64, func(row state.SessionRow[string, int64]) error {
			rows[sessionKey(row.Key, row.Start, row.End)] = string(binary.BigEndian.AppendUint64(nil, uint64(row.Value)))
			return nil
		})
	case *state.Buffer[window.Windowed[string], int64]:
		for s.Len() > 0 {
			b, err := s.Peek()
			if err != nil {
				return nil, err
			}
			rows[windowKey(b.Key.Key, b.Key.Start)] = waits
			if err := s.Remove(); err != nil { // from what is in memory: nothing is committed
				return nil, err
			}
		}
	default:
		return nil, fmt.Errorf("store of type %T", layer)
	}
	return rows, nil
}

// readJSON returns the rows of a store whose values are JSON.
func readJSON[V any](s *state.KeyValue[string, V]) (map[string]string, error) {
	rows := make(map[string]string)
	for row, err := range s.Range(serde.None[string](), serde.None[string]()) {
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(row.Value)
		if err != nil {
			return nil, err
		}
		rows[row.Key] = string(b)
	}
	return rows, nil
}
