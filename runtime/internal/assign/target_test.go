package assign

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestApply(t *testing.T) {
	t.Parallel()
	instances := []Instance{{ID: "a", Owned: tasks("0_0 0_1")}, {ID: "b"}}
	all, cfg := tasks("0_0 0_1 1_0"), Config{State: stateOf("0_0 0_1", 100)}
	for _, tc := range []struct {
		name   string
		target Target
		want   Result
		faults []string
	}{
		{"what another runs is taken first, and kept up to date", Target{"a": {Active: tasks("0_0")}, "b": {Active: tasks("0_1 1_0"), Standby: tasks("0_0")}},
			Result{Active: map[string][]Task{"a": tasks("0_0"), "b": tasks("1_0")}, Standby: map[string][]Task{"b": tasks("0_0")},
				Warmup: map[string][]Task{"b": tasks("0_1")}, Moving: tasks("0_1")}, nil},
		{"the balance is the assignor's", Target{"a": {}, "b": {Active: tasks("0_0 0_1 1_0")}},
			Result{Active: map[string][]Task{"a": nil, "b": tasks("1_0")}, Standby: map[string][]Task{}, Warmup: map[string][]Task{"b": tasks("0_0 0_1")}, Moving: tasks("0_0 0_1")}, nil},
		{"a missing and an unknown instance", Target{"a": {Active: all}, "c": {}}, Result{}, []string{"instance b is missing", "there is no instance c"}},
		{"a task twice, and one nowhere", Target{"a": {Active: tasks("0_0 1_0")}, "b": {Active: tasks("0_0")}}, Result{},
			[]string{"task 0_0 is to run on instance a and on instance b", "task 0_1 is to run nowhere"}},
		{"unknown tasks", Target{"a": {Active: tasks("0_0 0_1 1_0 7_7")}, "b": {Standby: tasks("8_8")}}, Result{},
			[]string{"there is no task 7_7, which instance a is to run", "there is no task 8_8, of which instance b is to keep a copy"}},
		{"copies of no state, beside the task, and twice", Target{"a": {Active: tasks("0_0 0_1 1_0"), Standby: tasks("0_0")}, "b": {Standby: tasks("1_0 0_1 0_1")}}, Result{},
			[]string{"instance a is to have task 0_0 twice", "task 1_0, of which instance b is to keep a copy, has no state", "instance b is to have task 0_1 twice"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := Apply(instances, all, tc.target, cfg)
			if (err != nil) != (len(tc.faults) > 0) || err != nil && err.Error() != strings.Join(tc.faults, "\n") {
				t.Fatalf("error %v", err)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// What Decide returns, applied, gives what Assign gives, but for copies and warm-ups, which are one.
func TestDecideAndApply(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 29))
		cfg := Config{State: map[Task]int64{}, Standbys: rng.IntN(2), Sticky: rng.IntN(2) == 0}
		instances := []Instance{{ID: "a"}, {ID: "b"}, {ID: "c", Capacity: 2}}
		var all []Task
		for p := range int32(9) {
			task := Task{p % 2, p}
			if all = append(all, task); rng.IntN(2) == 0 {
				cfg.State[task] = 1_000_000
			}
			in := &instances[rng.IntN(3)]
			in.Owned = append(in.Owned, task)
		}
		want := Assign(instances, all, cfg)
		target, probe := Decide(instances, all, cfg)
		got, err := Apply(instances, all, target, cfg)
		if err != nil || probe != want.Probe {
			t.Fatalf("seed %d: error %v, probe %v", seed, err, probe)
		}
		if !reflect.DeepEqual(got.Active, want.Active) || !reflect.DeepEqual(got.Moving, want.Moving) {
			t.Fatalf("seed %d:\ngot  %+v\nwant %+v", seed, got, want)
		}
	}
}
