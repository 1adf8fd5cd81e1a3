package runtime

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/topology"
)

// question is what a leader asks of random instances and tasks.
func question(rng *rand.Rand) *member.Question {
	q := &member.Question{}
	for sub := range int32(2) {
		for p := range int32(1 + rng.IntN(5)) {
			t := member.TaskInputs{Task: assign.Task{Subtopology: sub, Partition: p}, Inputs: []client.TopicPartition{{Topic: "in", Partition: p}}, InputRacks: [][]string{{fmt.Sprint(rng.IntN(2))}}}
			if sub == 0 {
				t.Stateful, t.Records = true, rng.Int64N(100_000)
				t.Changelogs, t.ChangelogRacks = []client.TopicPartition{{Topic: "log", Partition: p}}, [][]string{{fmt.Sprint(rng.IntN(2))}}
			}
			q.Tasks = append(q.Tasks, t)
		}
	}
	for i := range 1 + rng.IntN(3) {
		id := fmt.Sprint("m", i)
		q.Members = append(q.Members, member.Info{MemberID: id, InstanceID: "i" + id, Capacity: 1 + rng.IntN(2), Endpoint: "h:" + id})
		q.Instances = append(q.Instances, assign.Instance{ID: id, Capacity: q.Members[i].Capacity, Generation: rng.Int32N(3), Rack: fmt.Sprint(rng.IntN(2)), Tags: map[string]string{"zone": id}, Lags: map[assign.Task]int64{}})
	}
	for _, t := range q.Tasks {
		owner := &q.Instances[rng.IntN(len(q.Instances))]
		if rng.IntN(2) == 0 {
			owner.Owned = append(owner.Owned, t.Task)
		}
		in := &q.Instances[rng.IntN(len(q.Instances))]
		if other := &q.Instances[rng.IntN(len(q.Instances))]; owner != in && other != in && other != owner && rng.IntN(2) == 0 {
			other.Owned = append(other.Owned, t.Task) // two claim it
		}
		in.Previous = append(in.Previous, t.Task)
		if rng.IntN(2) == 0 {
			in.Lags[t.Task] = rng.Int64N(50_000)
		}
	}
	return q
}

// What an Assignor is told is enough to decide as the runtime does by itself.
func TestApplicationStateTellsAll(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 31))
		cfg := Config{NumStandbyReplicas: rng.IntN(2), RackAwareStrategy: RackStrategy(rng.IntN(3)), ClientRack: "0", RackAwareTags: []string{"zone"}}
		q := question(rng)
		s := applicationState(q, cfg)
		for sticky, got := range map[bool]TaskAssignment{false: s.HighAvailability(), true: s.Sticky()} {
			asked := cfg.assignConfig(sticky)
			asked.State = map[assign.Task]int64{}
			asked.Racks.Sources, asked.Racks.Changelogs = map[assign.Task][][]string{}, map[assign.Task][][]string{}
			var tasks []assign.Task
			for _, t := range q.Tasks {
				tasks = append(tasks, t.Task)
				asked.Racks.Sources[t.Task], asked.Racks.Changelogs[t.Task] = t.InputRacks, t.ChangelogRacks
				if t.Stateful {
					asked.State[t.Task] = t.Records
				}
			}
			target, probe := assign.Decide(q.Instances, tasks, asked)
			want := TaskAssignment{Instances: map[string]InstanceTasks{}}
			for id, place := range target {
				want.Instances[id] = InstanceTasks{Active: taskIDs(place.Active), Standby: taskIDs(place.Standby)}
			}
			if probe {
				want.FollowupAfter = 10 * time.Minute
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, sticky %v:\ngot  %+v\nwant %+v", seed, sticky, got, want)
			}
		}
	}
}

func TestApplicationState(t *testing.T) {
	t.Parallel()
	a, b, c := assign.Task{}, assign.Task{Partition: 1}, assign.Task{Subtopology: 1}
	q := &member.Question{
		Tasks: []member.TaskInputs{
			{Task: c, Inputs: []client.TopicPartition{{Topic: "x"}}},
			{Task: b, Inputs: []client.TopicPartition{{Topic: "in", Partition: 1}}, Stateful: true, Records: 70, Changelogs: []client.TopicPartition{{Topic: "log", Partition: 1}},
				InputRacks: [][]string{{"r", "s"}}, ChangelogRacks: [][]string{nil}},
			{Task: a, Stateful: true, Records: 50},
		},
		Members:   []member.Info{{MemberID: "n"}, {MemberID: "m", InstanceID: "i", Capacity: 3, Endpoint: "h:1"}},
		Instances: []assign.Instance{{ID: "n"}, {ID: "m", Owned: []assign.Task{c, a}, Previous: []assign.Task{b}, Lags: map[assign.Task]int64{b: 7}, Tags: map[string]string{"k": "v"}, Rack: "r"}},
	}
	got := applicationState(q, Config{})
	idA, idB, idC := topology.TaskID{}, topology.TaskID{Partition: 1}, topology.TaskID{Subtopology: 1}
	want := ApplicationState{
		Tasks: []TaskInfo{
			{ID: idA, Stateful: true, Records: 50},
			{ID: idB, Stateful: true, Records: 70, Partitions: []TaskPartition{{Topic: "in", Partition: 1, Racks: []string{"r", "s"}}, {Topic: "log", Partition: 1, Changelog: true}}},
			{ID: idC, Partitions: []TaskPartition{{Topic: "x"}}},
		},
		Instances: []InstanceState{
			{ID: "m", InstanceID: "i", Capacity: 3, Running: []topology.TaskID{idA, idC}, State: []topology.TaskID{idB}, Lags: map[topology.TaskID]int64{idA: 0, idB: 7},
				Tags: map[string]string{"k": "v"}, Rack: "r", Endpoint: "h:1"},
			{ID: "n", Capacity: 1, Running: []topology.TaskID{}, Lags: map[topology.TaskID]int64{idA: 50, idB: 70}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestRackCosts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		traffic, nonOverlap int
		sticky              bool
		want                [2]int64
	}{
		{0, 0, false, [2]int64{10, 1}},
		{0, 0, true, [2]int64{1, 10}},
		{3, 4, true, [2]int64{3, 4}},
		{-1, -1, false, [2]int64{0, 0}},
	} {
		c := Config{RackAwareStrategy: MinTraffic, RackAwareTrafficCost: tc.traffic, RackAwareNonOverlapCost: tc.nonOverlap}
		if got := c.assignConfig(tc.sticky).Racks; [2]int64{got.Traffic, got.NonOverlap} != tc.want || got.Strategy != assign.MinTraffic {
			t.Errorf("%+v: got %+v", tc, got)
		}
	}
}

// assignorFunc is an Assignor.
type assignorFunc func(ApplicationState) (TaskAssignment, error)

func (f assignorFunc) Assign(s ApplicationState) (TaskAssignment, error) { return f(s) }

func TestAssignorThatPanics(t *testing.T) {
	t.Parallel()
	in := &instance{cfg: Config{Assignor: assignorFunc(func(s ApplicationState) (TaskAssignment, error) {
		panic(fmt.Sprint(len(s.Tasks), " tasks are too many"))
	})}}
	_, _, err := in.askAssignor(&member.Question{Tasks: make([]member.TaskInputs, 3)})
	if err == nil || !strings.Contains(err.Error(), "3 tasks are too many") || !strings.Contains(err.Error(), "assignor_test.go") {
		t.Errorf("got %v", err)
	}
	in.cfg.Assignor = assignorFunc(func(ApplicationState) (TaskAssignment, error) { return TaskAssignment{FollowupAfter: -1}, nil })
	if _, _, err = in.askAssignor(&member.Question{}); err == nil {
		t.Error("a negative FollowupAfter is accepted")
	}
}
