package operator

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// scope is a Scope for one operator: it records drops and failures.
type scope struct {
	topology.Scope // nil: what an operator must not call
	stores         map[string]state.Layer
	drops          []topology.Reason
	failed         []error
	times          map[string]*int64
	source         topology.Coordinates
	now            int64 // wall clock
}

func (s *scope) Store(name string) state.Layer { return s.stores[name] }
func (s *scope) Drop(_ topology.NodeID, reason topology.Reason, _ error) {
	s.drops = append(s.drops, reason)
}

func (s *scope) Guarded() bool { return false }
func (s *scope) Now() int64    { return s.now }

func (s *scope) Source() topology.Coordinates { return s.source }

func (s *scope) SetSource(c topology.Coordinates) topology.Coordinates {
	was := s.source
	s.source = c
	return was
}

func (s *scope) Fail(_ topology.NodeID, err error) error {
	s.failed = append(s.failed, err)
	return nil
}

// run builds a node over s and returns its port. What it emits goes to out as text.
func run[K, V, K2, V2 any](t testing.TB, s *scope, n *topology.Node, out *[]string) topology.Emit[K, V] {
	t.Helper()
	var down any
	if n.Fan != nil {
		down = topology.Emit[K2, V2](func(r topology.Record[K2, V2]) {
			if out != nil {
				*out = append(*out, show(&r))
			}
		})
	}
	inst, err := n.Build(s, down)
	if err != nil {
		t.Fatal(err)
	}
	return inst.Ports[0].(topology.Emit[K, V])
}

// show returns a record as "key=value@time", with null for what is null.
func show[K, V any](r *topology.Record[K, V]) string {
	k, v := "null", "null"
	if r.HasKey() {
		k = fmt.Sprintf("%+v", text(r.Key))
	}
	if r.HasValue() {
		v = fmt.Sprintf("%+v", text(r.Value))
	}
	return fmt.Sprintf("%s=%s@%d", k, v, r.Timestamp)
}

// text shows what a pointer to a string points to.
func text(v any) any {
	if p, ok := v.(*string); ok {
		if p == nil {
			return "nil"
		}
		return *p
	}
	return v
}

func rec(k, v string) topology.Record[string, string] { return topology.NewRecord(k, v, 7) }

func (s *scope) OperatorTime(store string) *int64 { return s.time("time of " + store) }
func (s *scope) LastClose(store string) *int64    { return s.time("close of " + store) }

func (s *scope) time(name string) *int64 {
	if s.times == nil {
		s.times = make(map[string]*int64)
	}
	if s.times[name] == nil {
		s.times[name] = new(int64(-1))
	}
	return s.times[name]
}
