package operator

import (
	"fmt"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

type textChange = state.Change[string]

// source is a table of texts that is stored as name.
func source(t testing.TB, s *scope, name string) (*Store, *Table[string, string]) {
	t.Helper()
	s.open(t, state.KeyValueSpec(name, serde.String, serde.String))
	st := Stored(name)
	return st, StoredTable[string, string](st)
}

func nowhere(topology.Record[string, textChange]) {}

// TestTableAllocs: a change costs no allocation in a table operator or a join whose rows are plain and in memory.
func TestTableAllocs(t *testing.T) {
	s := &scope{}
	_, left := source(t, s, "l")
	_, right := source(t, s, "r")
	if err := s.stores["r"].(*state.KeyValue[string, string]).Put("k", "row", 1, serde.Headers{}); err != nil {
		t.Fatal(err)
	}
	both := func(l, _ string) string { return l }
	filter, _ := TableFilter("n", func(string, string) bool { return true }, true, nil, left)
	mapped, _ := TableMapValues("n", func(_, v string) string { return v }, nil, left)
	joined := TableJoin("this", "other", "merge", InnerJoin(both), left, right, nil)
	joined.Table.AskOld(true)
	c := topology.NewRecord("k", textChange{New: serde.Some("new"), Old: serde.Some("old"), Latest: true}, 7)
	for name, node := range map[string]*topology.Node{"filter": filter, "map": mapped, "join": joined.This} {
		inst, err := node.Build(s, topology.Emit[string, textChange](nowhere))
		if err != nil {
			t.Fatal(err)
		}
		port := inst.Ports[0].(topology.Emit[string, textChange])
		port(c)
		if n := testing.AllocsPerRun(100, func() { port(c) }); n != 0 {
			t.Errorf("%s: %v allocations per change", name, n)
		}
	}
	table, _ := TableSource[string, string]("n", Stored("l"), func() {})
	table.Stores = []string{"l"}
	stream := (&StreamTable[string, string, string, string]{
		Table: right, Join: func(_, v string, _ serde.Maybe[string]) string { return v },
	}).Node("n")
	for name, node := range map[string]*topology.Node{"source": table, "stream-table join": stream} {
		down := any(topology.Emit[string, textChange](nowhere))
		if node == stream {
			down = topology.Emit[string, string](func(topology.Record[string, string]) {})
		}
		inst, err := node.Build(s, down)
		if err != nil {
			t.Fatal(err)
		}
		port, r := inst.Ports[0].(topology.Emit[string, string]), rec("k", "v")
		port(r)
		if n := testing.AllocsPerRun(100, func() { port(r) }); n != 0 {
			t.Errorf("%s: %v allocations per record", name, n)
		}
	}
	if len(s.failed) > 0 {
		t.Error(s.failed)
	}
}

// TestChangesSerde: changes are read as they were written, and bytes that are no change are refused.
func TestChangesSerde(t *testing.T) {
	t.Parallel()
	changes := Changes(serde.String)
	for _, c := range []textChange{
		{New: serde.Some("new"), Latest: true}, {Old: serde.Some("old"), Latest: true},
		{New: serde.Some(""), Old: serde.Some("o"), Latest: true}, {New: serde.Some(string(make([]byte, 300))), Old: serde.Some("o"), Latest: true},
	} {
		b, err := changes.Append([]byte("x"), c)
		if err != nil || b[0] != 'x' {
			t.Fatal(b, err)
		}
		if got, err := changes.Decode(b[1:]); err != nil || got != c {
			t.Errorf("%x: %v, %v", b[1:], got, err)
		}
	}
	if _, err := changes.Append(nil, textChange{}); err == nil {
		t.Error("a change of nothing was encoded")
	}
	for _, b := range []string{"", "a\x03", "\x02", "\x08new\x02", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "\x01a\x02"} {
		if c, err := changes.Decode([]byte(b)); err == nil {
			t.Errorf("%q: decoded as %v", b, c)
		}
	}
}

// TestForeignMessages: messages of a foreign-key join that are cut off or from a later version are refused.
func TestForeignMessages(t *testing.T) {
	t.Parallel()
	sub := Subscription{primary: "k1", hash: fingerprint{[16]byte{1, 15: 2}, true}, instruction: answerAlways, partition: 300}
	b, err := Subscriptions.Append(nil, sub)
	if got, err2 := Subscriptions.Decode(b); err != nil || err2 != nil || got != sub {
		t.Errorf("%v, %v, %v", got, err, err2)
	}
	for _, bad := range [][]byte{nil, {1}, b[:10], b[:20], append([]byte{2}, b[1:]...), append([]byte{1, 9}, b[2:]...)} {
		if s, err := Subscriptions.Decode(bad); err == nil {
			t.Errorf("%x: decoded as %v", bad, s)
		}
	}
	responses := Responses(serde.String)
	for _, bad := range [][]byte{nil, {1}, make([]byte, 5)} {
		if r, err := responses.Decode(bad); err == nil {
			t.Errorf("%x: decoded as %v", bad, r)
		}
	}
}

// TestLazy: a table without a store gets one when an operator below needs it, and not before; old values flow only where
// somebody asked.
func TestLazy(t *testing.T) {
	t.Parallel()
	var declared []string
	n, table := TableSource[string, string]("source", Stored("s"), func() { declared = append(declared, "s") })
	_, filtered := TableFilter("filter", func(string, string) bool { return true }, true, nil, table)
	if filtered.AskOld(false) || len(declared) > 0 || len(n.Stores) > 0 {
		t.Fatal("a filter materialised the table above it")
	}
	if v := filtered.View(); !slices.Equal(v.Stores, []string{"s"}) || len(declared) != 1 {
		t.Errorf("a view reads %v, declared %v", v.Stores, declared)
	}
	if !filtered.AskOld(true) || len(declared) != 1 || !slices.Equal(n.Stores, []string{"s"}) {
		t.Errorf("old values: stores %v, declared %v", n.Stores, declared)
	}
	s := &scope{}
	s.open(t, state.KeyValueSpec("s", serde.String, serde.String))
	var got []string
	inst, err := n.Build(s, topology.Emit[string, textChange](func(r topology.Record[string, textChange]) {
		got = append(got, fmt.Sprint(r.Value.Old.Or("none"), " ", r.Value.New.Or("none")))
	}))
	if err != nil {
		t.Fatal(err)
	}
	port := inst.Ports[0].(topology.Emit[string, string])
	for _, v := range []string{"a", "b"} {
		port(rec("k", v))
		if err := inst.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"none a", "a b"}; !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
}
