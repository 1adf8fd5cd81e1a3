package topologytest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/state/memstore"
	"github.com/millrace-io/millrace/topology"
)

// Mock runs one processor alone, without a topology: what it forwards is captured, clocks and the record's origin are set by hand, and
// schedules fire when the test says so. It stands for Kafka Streams' MockProcessorContext.
//
//	m := topologytest.NewMock(t, newPricer, topologytest.MockStore(prices))
//	m.Process(topology.NewRecord("a", order, 5))
//	got := m.Forwarded()
//
// Its fields and methods belong to the test's goroutine.
type Mock[KIn, VIn, KOut, VOut any] struct {
	// StreamTime is what the processor sees as such, in milliseconds since the epoch. Process raises it, as a task does. -1 at first.
	StreamTime int64
	// Now is the wall clock.
	Now time.Time
	// Source is where the record that is being processed says that it came from.
	Source topology.Coordinates
	// Commits counts the commits that were asked for.
	Commits int
	// Failed are the errors that Process and punctuations returned, and Drops the reasons that the processor has dropped records for.
	Failed []error
	Drops  []topology.Reason

	scope     *mockScope
	inst      topology.Instance
	port      topology.Emit[KIn, VIn]
	forwarded []Forwarded[KOut, VOut]
}

// Forwarded is a record that a processor has sent on.
type Forwarded[K, V any] struct {
	Child  string // that it was sent to by name; empty: to all
	Record topology.Record[K, V]
}

// Schedule is a punctuation that a processor has asked for.
type Schedule struct {
	Interval  time.Duration
	Kind      topology.PunctuationType
	Cancelled bool
	Fire      func(now time.Time) error // calls it, with the time that it is to see
}

// MockOption configures a [Mock].
type MockOption func(*mockScope)

// MockStore gives the processor a store, empty, under its spec's name.
func MockStore(spec *state.Spec) MockOption {
	return func(s *mockScope) { s.specs = append(s.specs, spec) }
}

// MockChildren names the children that ForwardTo finds. Without it there are none.
func MockChildren(names ...string) MockOption {
	return func(s *mockScope) { s.children = append(s.children, names...) }
}

// MockPartition is the partition that the processor's task works on. The default is 0.
func MockPartition(n int32) MockOption { return func(s *mockScope) { s.partition = n } }

// NewMock makes a processor and calls its Init. It fails the test if that fails. Close is called when the test ends.
func NewMock[P topology.Processor[KIn, VIn, KOut, VOut], KIn, VIn, KOut, VOut any](
	tb testing.TB, newProcessor func() P, options ...MockOption,
) *Mock[KIn, VIn, KOut, VOut] {
	tb.Helper()
	m := &Mock[KIn, VIn, KOut, VOut]{StreamTime: -1, Now: time.Unix(0, 0), Source: topology.Coordinates{Partition: -1, Offset: -1}}
	s := &mockScope{stores: map[string]state.Layer{}, times: map[string]*int64{}}
	for _, o := range options {
		o(s)
	}
	m.scope = s
	s.mock = mocked{
		streamTime: func() int64 { return m.StreamTime }, now: func() time.Time { return m.Now }, source: &m.Source,
		commit: func() { m.Commits++ },
		fail:   func(err error) { m.Failed = append(m.Failed, err) },
		drop:   func(r topology.Reason) { m.Drops = append(m.Drops, r) },
		child:  func(name string) any { return m.emit(name) },
	}
	s.open(tb)
	n := topology.NewProcessor[P, KIn, VIn, KOut, VOut]("processor", newProcessor)
	for _, spec := range s.specs {
		n.Stores = append(n.Stores, spec.Name)
	}
	inst, err := n.Build(s, m.emit(""))
	if err != nil {
		tb.Fatalf("topologytest: Init: %v", err)
	}
	m.inst = inst
	m.port = inst.Ports[0].(topology.Emit[KIn, VIn])
	tb.Cleanup(func() {
		if inst.Close == nil {
			return
		}
		if err := inst.Close(); err != nil {
			tb.Errorf("topologytest: Close: %v", err)
		}
	})
	return m
}

func (m *Mock[KIn, VIn, KOut, VOut]) emit(child string) topology.Emit[KOut, VOut] {
	return func(r topology.Record[KOut, VOut]) {
		m.forwarded = append(m.forwarded, Forwarded[KOut, VOut]{child, r})
	}
}

// Process hands the processor a record, and raises StreamTime to its time. It returns the error that the processor returned, if it did.
func (m *Mock[KIn, VIn, KOut, VOut]) Process(r topology.Record[KIn, VIn]) error {
	m.StreamTime = max(m.StreamTime, r.Timestamp)
	before := len(m.Failed)
	m.port(r)
	return errors.Join(m.Failed[before:]...)
}

// Flush calls the processor's Flush, if it has one, as a commit does.
func (m *Mock[KIn, VIn, KOut, VOut]) Flush() error {
	if m.inst.Flush == nil {
		return nil
	}
	return m.inst.Flush()
}

// Forwarded returns what the processor has sent on since the last call.
func (m *Mock[KIn, VIn, KOut, VOut]) Forwarded() []Forwarded[KOut, VOut] {
	f := m.forwarded
	m.forwarded = nil
	return f
}

// Schedules returns the punctuations that were asked for, cancelled ones included.
func (m *Mock[KIn, VIn, KOut, VOut]) Schedules() []*Schedule { return slices.Clone(m.scope.schedules) }

// MockStoreOf returns a store that a Mock was given, such as MockStoreOf[*state.KeyValue[string, int64]](m, "counts").
func MockStoreOf[S state.Layer, KIn, VIn, KOut, VOut any](tb testing.TB, m *Mock[KIn, VIn, KOut, VOut], name string) S {
	tb.Helper()
	s, ok := m.scope.stores[name].(S)
	if !ok {
		tb.Fatalf("topologytest: store %s is a %T, not a %T", name, m.scope.stores[name], s)
	}
	return s
}

// mocked is what a mockScope reaches its Mock by, whose types it does not know.
type mocked struct {
	streamTime func() int64
	now        func() time.Time
	source     *topology.Coordinates
	commit     func()
	fail       func(error)
	drop       func(topology.Reason)
	child      func(name string) any
}

// mockScope is the scope of a Mock's processor.
type mockScope struct {
	mock      mocked
	specs     []*state.Spec
	stores    map[string]state.Layer
	children  []string
	partition int32
	schedules []*Schedule
	times     map[string]*int64
}

var _ topology.Scope = (*mockScope)(nil)

// open opens the stores over memory.
func (s *mockScope) open(tb testing.TB) {
	tb.Helper()
	db, err := state.NewDB(memstore.New(), state.Config{Inline: true})
	if err != nil {
		tb.Fatalf("topologytest: open state: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("topologytest: close state: %v", err)
		}
	})
	for _, spec := range s.specs {
		p, err := db.Partition(spec, s.partition)
		if err == nil {
			err = p.Reset(state.Position{ClusterID: "topologytest", Partition: s.partition})
		}
		if err == nil {
			s.stores[spec.Name], err = spec.Open(state.Env{Committed: p})
		}
		if err != nil {
			tb.Fatalf("topologytest: open store %s: %v", spec.Name, err)
		}
	}
}

func (s *mockScope) Partitions(string) int32 { return s.partition + 1 }

func (s *mockScope) Send(_ topology.NodeID, topic string, _ int32, _ *topology.Raw) error {
	return fmt.Errorf("topic %s: a Mock has no log", topic)
}

func (s *mockScope) Store(name string) state.Layer {
	if l, ok := s.stores[name]; ok {
		return l
	}
	return nil
}
func (s *mockScope) StreamTime() int64            { return s.mock.streamTime() }
func (s *mockScope) Now() int64                   { return s.mock.now().UnixMilli() }
func (s *mockScope) Partition() int32             { return s.partition }
func (s *mockScope) Source() topology.Coordinates { return *s.mock.source }
func (s *mockScope) RequestCommit()               { s.mock.commit() }
func (s *mockScope) Guarded() bool                { return false }

func (s *mockScope) SetSource(c topology.Coordinates) topology.Coordinates {
	was := *s.mock.source
	*s.mock.source = c
	return was
}

func (s *mockScope) Child(_ topology.NodeID, name string) (any, bool) {
	if !slices.Contains(s.children, name) {
		return nil, false
	}
	return s.mock.child(name), true
}

func (s *mockScope) Schedule(interval int64, wall bool, f func(now int64) error) (cancel func()) {
	sched := &Schedule{Interval: time.Duration(interval) * time.Millisecond, Kind: topology.PunctuateStreamTime}
	if wall {
		sched.Kind = topology.PunctuateWallClock
	}
	sched.Fire = func(now time.Time) error {
		if sched.Cancelled {
			return errors.New("the schedule was cancelled")
		}
		before := s.SetSource(topology.Coordinates{Partition: -1, Offset: -1}) // P-12
		defer s.SetSource(before)
		return f(now.UnixMilli())
	}
	s.schedules = append(s.schedules, sched)
	return func() { sched.Cancelled = true }
}

func (s *mockScope) Fail(_ topology.NodeID, err error) error {
	s.mock.fail(err)
	return err
}

func (s *mockScope) Drop(_ topology.NodeID, reason topology.Reason, _ error) { s.mock.drop(reason) }

func (s *mockScope) OperatorTime(store string) *int64 { return s.time("time of " + store) }
func (s *mockScope) LastClose(store string) *int64    { return s.time("close of " + store) }

func (s *mockScope) time(name string) *int64 {
	if s.times[name] == nil {
		s.times[name] = new(int64(-1))
	}
	return s.times[name]
}
