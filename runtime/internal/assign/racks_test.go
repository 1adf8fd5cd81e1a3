package assign

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// randomRacks are the racks of up to two partitions with up to two replicas, of three racks.
func randomRacks(rng *rand.Rand) (racks [][]string) {
	for range 1 + rng.IntN(2) {
		of := []string{fmt.Sprint(rng.IntN(3))}
		if rng.IntN(2) == 0 {
			of = append(of, fmt.Sprint(rng.IntN(3)))
		}
		racks = append(racks, of)
	}
	return racks
}

// racksOf reads "0_0=x 0_1=y/z": the racks of one partition for each task.
func racksOf(list string) map[Task][][]string {
	racks := make(map[Task][][]string)
	for _, s := range strings.Fields(list) {
		task, of, _ := strings.Cut(s, "=")
		racks[tasks(task)[0]] = [][]string{strings.Split(of, "/")}
	}
	return racks
}

func TestAssignNear(t *testing.T) {
	t.Parallel()
	two := func(a, b string) []Instance {
		return []Instance{{ID: "a", Rack: "x", Owned: tasks(a)}, {ID: "b", Rack: "y", Owned: tasks(b)}}
	}
	four := stateOf("0_0 0_1 0_2 0_3", 0)
	apart := racksOf("0_0=y 0_1=y 0_2=x 0_3=x")
	for _, tc := range []struct {
		name      string
		instances []Instance
		tasks     string
		cfg       Config
		active    map[string]string // once they have moved
		standby   map[string]string
	}{
		{"fresh tasks are read near", two("", ""), "0_0 0_1 0_2 0_3", Config{Racks: Racks{Strategy: MinTraffic, Sources: apart}},
			map[string]string{"a": "0_2 0_3", "b": "0_0 0_1"}, nil},
		{"not without a strategy", two("", ""), "0_0 0_1 0_2 0_3", Config{Racks: Racks{Sources: apart}},
			map[string]string{"a": "0_0 0_2", "b": "0_1 0_3"}, nil},
		{"not if an instance has no rack", append(two("0_0 0_1", "0_2 0_3"), Instance{ID: "c"}), "0_0 0_1 0_2 0_3 0_4", Config{Racks: Racks{Strategy: MinTraffic, Sources: apart}},
			map[string]string{"a": "0_0 0_1", "b": "0_2 0_3", "c": "0_4"}, nil},
		{"not if a partition has none", two("0_0 0_1", "0_2 0_3"), "0_0 0_1 0_2 0_3",
			Config{Racks: Racks{Strategy: MinTraffic, Sources: map[Task][][]string{{0, 0}: {{"y"}}, {0, 1}: {{"y"}}, {0, 2}: {{"x"}}, {0, 3}: {{}}}}},
			map[string]string{"a": "0_0 0_1", "b": "0_2 0_3"}, nil},
		{"running tasks without state move for what is saved", two("0_0 0_1", "0_2 0_3"), "0_0 0_1 0_2 0_3",
			Config{Racks: Racks{Strategy: MinTraffic, Traffic: 10, NonOverlap: 1000, Sources: apart}},
			map[string]string{"a": "0_2 0_3", "b": "0_0 0_1"}, nil},
		{"and with state, if that is worth it", two("0_0 0_1", "0_2 0_3"), "0_0 0_1 0_2 0_3",
			Config{State: four, Racks: Racks{Strategy: MinTraffic, Traffic: 10, NonOverlap: 1, Sources: apart}},
			map[string]string{"a": "0_2 0_3", "b": "0_0 0_1"}, nil},
		{"else they stay", two("0_0 0_1", "0_2 0_3"), "0_0 0_1 0_2 0_3",
			Config{State: four, Sticky: true, Racks: Racks{Strategy: MinTraffic, Traffic: 1, NonOverlap: 10, Sources: apart}},
			map[string]string{"a": "0_0 0_1", "b": "0_2 0_3"}, nil},
		{"of those that could move the one moves whose state is there", []Instance{{ID: "a", Rack: "x", Owned: tasks("0_0 0_1")}, {ID: "b", Rack: "y", Owned: tasks("0_2 0_3"), Previous: tasks("0_1")}},
			"0_0 0_1 0_2 0_3", Config{State: four, Sticky: true, Racks: Racks{Strategy: MinTraffic, Traffic: 10, NonOverlap: 1, Sources: racksOf("0_0=y 0_1=y 0_2=x 0_3=y")}},
			map[string]string{"a": "0_0 0_2", "b": "0_1 0_3"}, nil},
		{"a replica is enough", two("0_0 0_1", "0_2 0_3"), "0_0 0_1 0_2 0_3",
			Config{Racks: Racks{Strategy: MinTraffic, Sources: racksOf("0_0=y/x 0_1=y 0_2=x 0_3=y")}},
			map[string]string{"a": "0_0 0_2", "b": "0_1 0_3"}, nil},
		{"the balance is kept, whatever the traffic", two("", ""), "0_0 0_1 0_2 0_3", Config{Racks: Racks{Strategy: MinTraffic, Sources: racksOf("0_0=x 0_1=x 0_2=x 0_3=x")}},
			map[string]string{"a": "0_0 0_2", "b": "0_1 0_3"}, nil},
		{"the least traffic may gather a sub-topology", two("", ""), "0_0 0_1 1_0 1_1", Config{Racks: Racks{Strategy: MinTraffic, Sources: racksOf("0_0=x 0_1=x 1_0=y 1_1=y")}},
			map[string]string{"a": "0_0 0_1", "b": "1_0 1_1"}, nil},
		{"it is spread where that is asked for", two("", ""), "0_0 0_1 1_0 1_1", Config{Racks: Racks{Strategy: BalanceSubtopology, Sources: racksOf("0_0=x 0_1=y 1_0=y 1_1=y")}},
			map[string]string{"a": "0_0 1_1", "b": "0_1 1_0"}, nil},
		{"what is left over goes where it is near", two("", ""), "0_0 1_0", Config{State: stateOf("0_0", 0), Racks: Racks{Strategy: MinTraffic, Sources: racksOf("0_0=y 1_0=x")}},
			map[string]string{"a": "1_0", "b": "0_0"}, nil},
		{"and spread anew", two("0_0 0_1", "1_0 1_1"), "0_0 0_1 1_0 1_1", Config{Racks: Racks{Strategy: BalanceSubtopology, Sources: racksOf("0_0=x 0_1=x 1_0=y 1_1=y")}},
			map[string]string{"a": "0_1 1_0", "b": "0_0 1_1"}, nil},
		{"copies are near their changelogs", []Instance{
			{ID: "a", Rack: "x", Owned: tasks("0_0")}, {ID: "b", Rack: "y", Owned: tasks("0_1")}, {ID: "c", Rack: "x", Owned: tasks("0_2")}, {ID: "d", Rack: "y", Owned: tasks("0_3")}},
			"0_0 0_1 0_2 0_3", Config{State: four, Standbys: 1, Racks: Racks{Strategy: MinTraffic, Traffic: 10, NonOverlap: 1,
				Sources: racksOf("0_0=x 0_1=y 0_2=x 0_3=y"), Changelogs: racksOf("0_0=x 0_1=y 0_2=x 0_3=y")}},
			map[string]string{"a": "0_0", "b": "0_1", "c": "0_2", "d": "0_3"}, map[string]string{"a": "0_2", "b": "0_3", "c": "0_0", "d": "0_1"}},
		{"but in different zones first", []Instance{
			{ID: "a", Rack: "x", Tags: map[string]string{"zone": "x"}, Owned: tasks("0_0")}, {ID: "b", Rack: "y", Tags: map[string]string{"zone": "y"}, Owned: tasks("0_1")},
			{ID: "c", Rack: "x", Tags: map[string]string{"zone": "x"}, Owned: tasks("0_2")}, {ID: "d", Rack: "y", Tags: map[string]string{"zone": "y"}, Owned: tasks("0_3")}},
			"0_0 0_1 0_2 0_3", Config{State: four, Standbys: 1, Spread: []string{"zone"}, Racks: Racks{Strategy: MinTraffic, Traffic: 10, NonOverlap: 1,
				Sources: racksOf("0_0=x 0_1=y 0_2=x 0_3=y"), Changelogs: racksOf("0_0=x 0_1=y 0_2=x 0_3=y")}},
			map[string]string{"a": "0_0", "b": "0_1", "c": "0_2", "d": "0_3"}, map[string]string{"a": "0_1", "b": "0_0", "c": "0_3", "d": "0_2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			instances := tc.instances
			var r Result
			for range 2 { // once to take away, once to give
				r = Assign(instances, tasks(tc.tasks), tc.cfg)
				instances = slices.Clone(instances)
				for i := range instances {
					instances[i].Owned = r.Active[instances[i].ID]
				}
			}
			got, copies := make(map[string]string), make(map[string]string)
			for id, ts := range r.Active {
				got[id] = show(ts)
			}
			for id, ts := range r.Standby {
				copies[id] = show(ts)
			}
			if !reflect.DeepEqual(got, tc.active) || len(r.Moving) > 0 || len(copies)+len(tc.standby) > 0 && !reflect.DeepEqual(copies, tc.standby) {
				t.Errorf("active %v, standby %v, moving %q", got, copies, show(r.Moving))
			}
		})
	}
}

// The exchange finds the least cost of all assignments with as many items at each node, and of each sub-topology as few above the bounds.
func TestExchangeIsOptimal(t *testing.T) {
	t.Parallel()
	moved := 0
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 17))
		nodes, items := 2+rng.IntN(3), 1+rng.IntN(6)
		e := newExchange(nodes)
		for range items {
			costs := make([]int64, nodes)
			at := rng.IntN(nodes)
			for n := range costs {
				if costs[n] = rng.Int64N(5); seed%3 == 0 && n != at && rng.IntN(4) == 0 {
					costs[n] = forbidden
				}
			}
			e.add(at, rng.Int32N(2), costs)
		}
		spread := seed%3 == 1
		if spread {
			e.spread()
		}
		start := slices.Clone(e.at)
		least := leastCost(e, start)
		end := e.run()
		if got := costOf(e, end); got != least {
			t.Fatalf("seed %d: cost %d, the least is %d", seed, got, least)
		}
		if !slices.Equal(countOf(start, nodes), countOf(end, nodes)) {
			t.Fatalf("seed %d: from %v to %v", seed, start, end)
		}
		if slices.Equal(start, end) != (costOf(e, start) == least) {
			t.Fatalf("seed %d: from %v, of cost %d, to %v, of cost %d", seed, start, costOf(e, start), end, least)
		}
		for v := range e.limit {
			if spread && len(e.items[v]) > e.limit[v] {
				t.Fatalf("seed %d: %d items where %d are not too many", seed, len(e.items[v]), e.limit[v])
			}
		}
		if !slices.Equal(start, end) {
			moved++
		}
	}
	if moved < 1000 {
		t.Errorf("something moved in %d cases only", moved)
	}
}

func countOf(at []int, nodes int) []int {
	count := make([]int, nodes)
	for _, n := range at {
		count[n]++
	}
	return count
}

// costOf adds up what an assignment costs.
func costOf(e *exchange, at []int) (cost int64) {
	have := make([]int, len(e.limit))
	for k, n := range at {
		if e.costs[k][n] == forbidden {
			return forbidden
		}
		if cost += e.costs[k][n]; e.limit == nil {
			continue
		}
		if v := e.group[k]*e.nodes + n; have[v] >= e.limit[v] {
			cost += e.above
		} else {
			have[v]++
		}
	}
	return cost
}

// leastCost tries all assignments.
func leastCost(e *exchange, start []int) int64 {
	want := countOf(start, e.nodes)
	at, least := make([]int, len(start)), int64(forbidden)
	var try func(k int)
	try = func(k int) {
		if k == len(at) {
			if slices.Equal(countOf(at, e.nodes), want) {
				least = min(least, costOf(e, at))
			}
			return
		}
		for n := range e.nodes {
			at[k] = n
			try(k + 1)
		}
	}
	try(0)
	return least
}

// Of the task placement, with states, owners and both strategies, too: the cost is the least there is, by what is documented of it.
func TestLeastTraffic(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 19))
		cfg := Config{State: map[Task]int64{}, Sticky: true, Racks: Racks{Strategy: MinTraffic, Traffic: rng.Int64N(4), NonOverlap: rng.Int64N(3), Sources: map[Task][][]string{}}}
		var all []Task
		for p := range int32(2 + rng.IntN(5)) {
			t := Task{Partition: p}
			all, cfg.Racks.Sources[t], cfg.State[t] = append(all, t), randomRacks(rng), 0
		}
		instances := make([]Instance, 2+rng.IntN(2))
		for i := range instances {
			instances[i] = Instance{ID: fmt.Sprint(i), Rack: fmt.Sprint(rng.IntN(3))}
		}
		for _, t := range all {
			in := &instances[rng.IntN(len(instances))]
			in.Owned = append(in.Owned, t)
		}
		owner := make(map[Task]int)
		for i, in := range instances {
			for _, t := range in.Owned {
				owner[t] = i
			}
		}
		cost := func(at map[Task]int) (sum int64) {
			for t, i := range at {
				if sum += cfg.Racks.Traffic * crossing(cfg.Racks.Sources[t], instances[i].Rack); owner[t] != i {
					sum += cfg.Racks.NonOverlap
				}
			}
			return sum
		}
		got := make(map[Task]int)
		counts := make([]int, len(instances))
		for i, n := range decide(instances, all, cfg).nodes {
			counts[i] = len(n.target)
			for _, t := range n.target {
				got[t] = i
			}
		}
		least := int64(forbidden)
		at := make(map[Task]int)
		var try func(k int)
		try = func(k int) {
			if k == len(all) {
				if slices.Equal(countOf(slices.Collect(maps.Values(at)), len(instances)), counts) {
					least = min(least, cost(at))
				}
				return
			}
			for i := range instances {
				at[all[k]] = i
				try(k + 1)
			}
		}
		try(0)
		if cost(got) != least {
			t.Fatalf("seed %d: %v costs %d, the least is %d", seed, got, cost(got), least)
		}
	}
}

// A thousand tasks in ten sub-topologies over fifty instances in three racks, one standby each: from nothing, which moves most, and when
// all is in its place. Kafka Streams' own bound for such an assignment is a minute (the test of its assignors), the group's a rebalance.
func BenchmarkAssignNear(b *testing.B) {
	for _, strategy := range []Strategy{AnyRack, MinTraffic, BalanceSubtopology} {
		for _, settled := range []bool{false, true} {
			b.Run(fmt.Sprintf("strategy=%d/settled=%v", strategy, settled), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 23))
				cfg := Config{State: map[Task]int64{}, Standbys: 1, Sticky: true,
					Racks: Racks{Strategy: strategy, Traffic: 10, NonOverlap: 1, Sources: map[Task][][]string{}, Changelogs: map[Task][][]string{}}}
				var all []Task
				for sub := range int32(10) {
					for p := range int32(100) {
						t := Task{sub, p}
						all, cfg.Racks.Sources[t], cfg.Racks.Changelogs[t] = append(all, t), randomRacks(rng), randomRacks(rng)
						if sub < 5 {
							cfg.State[t] = 0
						}
					}
				}
				instances := make([]Instance, 50)
				for i := range instances {
					instances[i] = Instance{ID: fmt.Sprintf("%02d", i), Rack: fmt.Sprint(i % 3), Capacity: 1 + i%2}
				}
				for range 3 {
					if !settled {
						break
					}
					r := Assign(instances, all, cfg)
					for i := range instances {
						in := &instances[i]
						in.Owned, in.Previous = r.Active[in.ID], slices.Concat(r.Active[in.ID], r.Standby[in.ID])
					}
				}
				for b.Loop() {
					Assign(instances, all, cfg)
				}
			})
		}
	}
}

// Where changelogs lie is asked only of tasks of whose state copies are kept.
func TestChangelogsWithoutRacks(t *testing.T) {
	t.Parallel()
	task := Task{Partition: 1}
	for _, tc := range []struct {
		stateful bool
		standbys int
		ok       bool
	}{{true, 1, false}, {true, 0, true}, {false, 1, true}} {
		cfg := Config{Standbys: tc.standbys, Racks: Racks{Strategy: MinTraffic,
			Sources: map[Task][][]string{task: {{"x"}}}, Changelogs: map[Task][][]string{task: {{"x"}, nil}}}}
		if tc.stateful {
			cfg.State = map[Task]int64{task: 5}
		}
		if err := CheckRacks([]Instance{{ID: "a", Rack: "x"}}, []Task{task}, cfg); (err == nil) != tc.ok {
			t.Errorf("with state: %v, %d copies: %v", tc.stateful, tc.standbys, err)
		}
	}
}
