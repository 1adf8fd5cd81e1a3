package member

import (
	"context"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

// task is partition n of the first sub-topology.
func task(n int32) assign.Task { return assign.Task{Partition: n} }

// What a member tells when it joins: what it is, what it runs, and of what it ran before or has a copy of what is left of it.
func TestJoinTellsAll(t *testing.T) {
	t.Parallel()
	var asked client.JoinRequest
	c := &stub{join: func(r client.JoinRequest) (client.JoinAnswer, error) { asked = r; return client.JoinAnswer{}, nil }}
	m, err := New(c, Config{
		Group: "app", InstanceID: "i", Capacity: 3, Fingerprint: 7, Topics: func() []string { return []string{"in"} },
		SessionTimeout: 6 * time.Second, RebalanceTimeout: 20 * time.Second, Rack: "r", Tags: map[string]string{"zone": "z"}, Endpoint: "h:1",
		Plan: func(context.Context, []Info) ([]TaskInputs, error) { return nil, nil },
		Lags: func(_ context.Context, previous []assign.Task) map[assign.Task]int64 {
			if !reflect.DeepEqual(previous, []assign.Task{task(1), task(4), task(5)}) {
				t.Errorf("asked for the lags of %v", previous)
			}
			// 0 runs here; of 1 nothing is left; 2 is a copy; 3 is one of which there is nothing yet; 4 has no state; 5 is up to date.
			return map[assign.Task]int64{task(0): 0, task(1): -1, task(2): 50, task(3): -1, task(5): 0}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{Member: m, ctx: t.Context()}
	in := []client.TopicPartition{{Topic: "in", Partition: 0}}
	r.join(&effect{memberID: "m1", claims: []assign.Task{task(0)}, claimed: 9, partitions: in,
		previous: []assign.Task{task(1), task(4), task(5)}, stop: true, reason: "why"})
	told, err := decodeSubscription(asked.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	want := subscription{topics: []string{"in"}, partitions: in, generation: 9, rack: "r", user: userData{
		version: userDataVersion, instanceID: "i", capacity: 3, fingerprint: 7, owned: []assign.Task{task(0)},
		previous: []assign.Task{task(2), task(4), task(5)}, lags: map[assign.Task]int64{task(2): 50, task(5): 0},
		tags: map[string]string{"zone": "z"}, endpoint: "h:1", stop: true,
	}}
	if !reflect.DeepEqual(told, want) {
		t.Errorf("it tells\n%+v, want\n%+v", told, want)
	}
	asked.Metadata = nil
	if want := (client.JoinRequest{Group: "app", MemberID: "m1", InstanceID: "i", SessionTimeout: 6 * time.Second, RebalanceTimeout: 20 * time.Second,
		Protocol: protocol, Reason: "why"}); !reflect.DeepEqual(asked, want) {
		t.Errorf("it asks\n%+v, want\n%+v", asked, want)
	}
}

// What the leader is told of the members reaches the plan and the assignment, and what comes of it reaches the members.
func TestPlanTellsAll(t *testing.T) {
	t.Parallel()
	var seen []Info
	specs := []TaskInputs{
		{Task: task(0), Inputs: []client.TopicPartition{{Topic: "in", Partition: 0}}, Stateful: true, Records: 1_000_000},
		{Task: task(1), Inputs: []client.TopicPartition{{Topic: "in", Partition: 1}}},
	}
	m, err := New(&stub{}, Config{Group: "app", ProbeInterval: time.Hour, Logger: slog.New(slog.DiscardHandler),
		Plan: func(_ context.Context, members []Info) ([]TaskInputs, error) { seen = members; return specs, nil }})
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{Member: m, ctx: t.Context()}
	a := memberState{"a", subscription{topics: []string{"in"}, generation: 4, user: userData{version: 2, instanceID: "i", capacity: 1, fingerprint: 7,
		owned: []assign.Task{task(0), task(1)}, endpoint: "h:2"}}}
	b := memberState{"b", subscription{generation: 3, user: userData{version: 2, instanceID: "j", capacity: 1,
		owned: []assign.Task{task(0)}, previous: []assign.Task{task(1)}, endpoint: "h:1", stop: true}}}
	c := memberState{"c", subscription{generation: -1, user: userData{version: 2, instanceID: "k"}}}
	read := func(members ...memberState) map[string]assignment {
		t.Helper()
		told, probe, err := r.plan(members)
		if err != nil || probe != 0 {
			t.Fatalf("probe after %v, %v", probe, err)
		}
		got := make(map[string]assignment)
		for id, bytes := range told {
			if got[id], err = decodeAssignment(bytes); err != nil {
				t.Fatal(err)
			}
		}
		return got
	}
	hosts := []Host{{Endpoint: "h:1"}, {Endpoint: "h:2", Tasks: []assign.Task{task(0)}}} // 1 moves, and is nowhere meanwhile
	got := read(a, b)
	want := map[string]assignment{
		"a": {tasks: []assign.Task{task(0)}, partitions: specs[0].Inputs, stop: true, copies: copies{hosts: hosts}},
		"b": {stop: true, copies: copies{hosts: hosts}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("told\n%+v, want\n%+v", got, want)
	}
	if want := []Info{
		{MemberID: "a", InstanceID: "i", Capacity: 1, Fingerprint: 7, Topics: []string{"in"}, Version: 2, Endpoint: "h:2"},
		{MemberID: "b", InstanceID: "j", Capacity: 1, Version: 2, Endpoint: "h:1"},
	}; !reflect.DeepEqual(seen, want) {
		t.Errorf("the plan sees\n%+v, want\n%+v", seen, want)
	}
	for id, a := range read(a, c) {
		if a.stop || len(a.hosts) != 1 {
			t.Errorf("nobody has asked to stop, and one has an endpoint; %s is told %+v", id, a)
		}
	}
}

// Whatever changes in an assignment, the owner hears of it.
func TestAssignmentsDiffer(t *testing.T) {
	t.Parallel()
	one := []assign.Task{task(0)}
	for _, a := range []Assignment{
		{Incarnation: 1}, {Joined: true}, {Tasks: one}, {Revoked: one}, {Standby: one}, {Warmup: one}, {Stop: true},
		{Hosts: []Host{{}}}, {Hosts: []Host{{Endpoint: "h:1"}}}, {Hosts: []Host{{Tasks: one}}}, {Hosts: []Host{{Standby: one}}},
	} {
		if same := a; !a.equal(&same) {
			t.Errorf("%+v is not what it is", a)
		}
		other := Assignment{}
		if len(a.Hosts) > 0 && !reflect.DeepEqual(a.Hosts[0], Host{}) {
			other.Hosts = []Host{{}}
		}
		if a.equal(&other) || other.equal(&a) {
			t.Errorf("%+v is taken for %+v", a, other)
		}
	}
}
