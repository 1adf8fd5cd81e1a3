package state_test

import (
	"fmt"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
)

// seats is a store of one's own: who sits where, over a key-value store, and how many seats are taken, which is in memory alone and found
// again whenever the store is opened. The key-value store's Layer makes it logged, committed, dropped and restored with everything else.
type seats struct {
	state.Layer
	who   *state.KeyValue[string, string]
	taken int
}

func seatsSpec(name string) *state.Spec {
	spec := state.KeyValueSpec(name, serde.String, serde.String)
	open := spec.Open
	spec.Open = func(e state.Env) (state.Layer, error) {
		l, err := open(e)
		if err != nil {
			return nil, err
		}
		s := &seats{Layer: l, who: l.(*state.KeyValue[string, string])}
		for _, err := range s.who.Range(serde.None[string](), serde.None[string]()) {
			if err != nil {
				return nil, err
			}
			s.taken++
		}
		return s, nil
	}
	return spec
}

func (s *seats) take(seat, passenger string, timestamp int64) error {
	if _, _, ok, err := s.who.Get(seat); ok || err != nil {
		return err // taken already
	}
	s.taken++
	return s.who.Put(seat, passenger, timestamp, serde.Headers{})
}

// A store of one's own is made of one that there is: a Spec whose Open wraps what the other Spec's Open returns. A topology has it by
// topology.AddStore[*seats](b, seatsSpec("seats")), or stream.AddStore; here the steps that the runtime takes stand by themselves.
//
// When a transaction is aborted the layer is thrown away and the store opened anew: what it keeps in memory must come from what is below.
func ExampleSpec() {
	spec := seatsSpec("seats")
	db, err := state.NewDB(memstore.New(), state.Config{Inline: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	partition, err := db.Partition(spec, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	open := func() *seats {
		l, err := spec.Open(state.Env{Committed: partition})
		if err != nil {
			fmt.Println(err)
		}
		return l.(*seats)
	}

	s := open()
	fmt.Println(s.take("12A", "Ada", 1), s.Flush(), s.Commit(-1))
	fmt.Println(s.take("12B", "Bob", 2), s.taken)
	s.Drop() // the transaction is aborted

	s = open()
	fmt.Println(s.taken, db.Close())
	// Output:
	// <nil> <nil> <nil>
	// <nil> 2
	// 1 <nil>
}

// A store that keeps headers gives them back with the row.
func ExampleKeepHeaders() {
	spec := state.KeyValueSpec("orders", serde.String, serde.String, state.KeepHeaders())
	db, err := state.NewDB(memstore.New(), state.Config{Inline: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	partition, err := db.Partition(spec, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	layer, err := spec.Open(state.Env{Committed: partition})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := layer.(*state.KeyValue[string, string])
	fmt.Println(orders.Put("o1", "two books", 1000, serde.Headers{}.With("trace", []byte("4bf9"))))

	row, ok, err := orders.Row("o1")
	trace, _ := row.Headers.Last("trace")
	fmt.Printf("%s at %d, trace %s: %v, %v\n", row.Value, row.Timestamp, trace, ok, err)
	// Output:
	// <nil>
	// two books at 1000, trace 4bf9: true, <nil>
}
