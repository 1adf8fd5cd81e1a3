package member

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

// leader returns a runner that plans for tasks 0_0, with state, and 1_0.
func leader(t *testing.T, log io.Writer, cfg Config) *runner {
	cfg.Group, cfg.ProbeInterval = "g", time.Minute
	cfg.Plan = func(context.Context, []Info) ([]TaskInputs, error) {
		return []TaskInputs{
			{Task: assign.Task{}, Inputs: []client.TopicPartition{{Topic: "a"}}, Stateful: true, Records: 1 << 20, InputRacks: [][]string{{"x"}}, ChangelogRacks: [][]string{{"x"}}},
			{Task: assign.Task{Subtopology: 1}, Inputs: []client.TopicPartition{{Topic: "b"}}, InputRacks: [][]string{{"y"}}},
		}, nil
	}
	return &runner{Member: &Member{log: slog.New(slog.NewTextHandler(log, nil)), cfg: cfg}, ctx: t.Context()}
}

func joined(id, rack string, owned ...assign.Task) memberState {
	return memberState{id: id, subscription: subscription{rack: rack, user: userData{version: userDataVersion, owned: owned, endpoint: "host-" + id + ":1"}}}
}

// toldTasks returns what the members are told to run.
func toldTasks(t *testing.T, told map[string][]byte) map[string][]assign.Task {
	t.Helper()
	tasks := make(map[string][]assign.Task)
	for id, b := range told {
		a, err := decodeAssignment(b)
		if err != nil {
			t.Fatal(err)
		}
		tasks[id] = a.tasks
	}
	return tasks
}

// The racks of members and data reach the assignment; a member without one is named.
func TestPlanNear(t *testing.T) {
	t.Parallel()
	cfg := Config{Assign: assign.Config{Racks: assign.Racks{Strategy: assign.MinTraffic, Traffic: 10, NonOverlap: 1}}}
	var log strings.Builder
	told, _, err := leader(t, &log, cfg).plan([]memberState{joined("a", "y"), joined("b", "x")})
	if err != nil {
		t.Fatal(err)
	}
	// One task with state and one without, which go to one instance each.
	if got, want := toldTasks(t, told), (map[string][]assign.Task{"a": {{Subtopology: 1}}, "b": {{}}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	if strings.Contains(log.String(), "without regard to racks") {
		t.Errorf("it says\n%s", log.String())
	}
	if _, _, err = leader(t, &log, cfg).plan([]memberState{joined("a", "y"), joined("old", "")}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "instance old has no rack") {
		t.Errorf("it says\n%s", log.String())
	}
}

// The application's assignor is asked with what the members and the log have said; its answer is applied step by step, or refused.
func TestPlanByAssignor(t *testing.T) {
	t.Parallel()
	first, second := assign.Task{}, assign.Task{Subtopology: 1}
	var asked *Question
	answer := assign.Target{"a": {Active: []assign.Task{second}}, "b": {Active: []assign.Task{first}}}
	var failure error
	r := leader(t, io.Discard, Config{Assignor: func(q *Question) (assign.Target, time.Duration, error) {
		asked = q
		return answer, time.Hour, failure
	}})
	members := []memberState{joined("a", "y", first), joined("b", "x")}
	told, probe, err := r.plan(members)
	if err != nil || probe != time.Hour {
		t.Fatalf("probe %v, %v", probe, err)
	}
	if got, want := toldTasks(t, told), (map[string][]assign.Task{"a": {second}, "b": nil}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v; 0_0 is to be taken from a first", got)
	}
	if len(asked.Members) != 2 || asked.Members[1].Endpoint != "host-b:1" || asked.Instances[1].Rack != "x" || len(asked.Tasks) != 2 ||
		asked.Config.State[first] != 1<<20 || !reflect.DeepEqual(asked.Config.Racks.Sources[second], [][]string{{"y"}}) {
		t.Errorf("asked %+v", asked)
	}
	answer = assign.Target{"a": {Active: []assign.Task{second}}}
	if _, _, err = r.plan(members); err == nil || err.Error() != `the assignor of group "g": instance b is missing`+"\n"+`task 0_0 is to run nowhere` {
		t.Errorf("got %v", err)
	}
	failure = errors.New("cannot decide")
	if _, _, err = r.plan(members); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	// A member of the first version can keep no copies: there are no tasks with state then.
	failure, members[1].user.version = nil, 1
	answer = assign.Target{"a": {Active: []assign.Task{first, second}}, "b": {Standby: []assign.Task{first}}}
	if _, _, err = r.plan(members); err == nil || !strings.Contains(err.Error(), "task 0_0, of which instance b is to keep a copy, has no state") {
		t.Errorf("got %v", err)
	}
}
