package operator

import (
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// JoinGlobal joins each record with the row of a global table that key selects; no row, no result (D-120). A null value or a
// null selected key is dropped. The result has the stream record's key, time and headers.
func JoinGlobal[K, V, GK, GV, R any](name, table string, key func(K, V) GK, join func(K, V, GV) R) *topology.Node {
	return globalJoin(name, table, key, false, func(k K, v V, row serde.Maybe[GV]) R {
		w, _ := row.Get()
		return join(k, v, w)
	})
}

// LeftJoinGlobal is JoinGlobal with a result also where there is no row or the selected key is null (D-121).
func LeftJoinGlobal[K, V, GK, GV, R any](name, table string, key func(K, V) GK, join func(K, V, serde.Maybe[GV]) R) *topology.Node {
	return globalJoin(name, table, key, true, join)
}

func globalJoin[K, V, GK, GV, R any](
	name, table string, key func(K, V) GK, left bool, join func(K, V, serde.Maybe[GV]) R,
) *topology.Node {
	open := func(e env, down topology.Emit[K, R]) (topology.Emit[K, V], func() error, error) {
		rows, err := store[*state.Global[GK, GV]](e, table)
		if err != nil {
			return nil, nil, err
		}
		sees, nilableKey, nilableResult := nilable[V](), nilable[GK](), nilable[R]()
		return func(r topology.Record[K, V]) {
			if !sees && !r.HasValue() {
				e.drop(topology.ReasonNullValue)
				return
			}
			k := key(r.Key, r.Value)
			if !hasValue(&r, sees) {
				e.drop(topology.ReasonNullValue)
				return
			}
			var row serde.Maybe[GV]
			if nilableKey && isNil(k) {
				if !left {
					e.drop(topology.ReasonNullKey)
					return
				}
			} else {
				v, _, ok, err := rows.Get(k)
				if err != nil {
					_ = e.scope.Fail(e.node, err) // the handler has decided; a refusal is sticky in the task
					return
				}
				if ok {
					row = serde.Some(v)
				}
			}
			if !left && !row.Present() {
				return
			}
			var out topology.Record[K, R]
			topology.SetValue(&out, &r, join(r.Key, r.Value, row))
			if nilableResult {
				flag(&out, false, true)
			}
			down(out)
		}, nil, nil
	}
	return processor(name, []string{table}, open)
}
