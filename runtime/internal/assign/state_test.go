package assign

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func stateOf(list string, size int64) map[Task]int64 {
	sizes := make(map[Task]int64)
	for _, t := range tasks(list) {
		sizes[t] = size
	}
	return sizes
}

func lags(list string, lag int64) map[Task]int64 { return stateOf(list, lag) }

func TestAssignState(t *testing.T) {
	t.Parallel()
	four := tasks("0_0 0_1 0_2 0_3")
	big := Config{State: stateOf("0_0 0_1 0_2 0_3", 1_000_000)}
	small := Config{State: stateOf("0_0 0_1 0_2 0_3", 10_000)}
	for _, tc := range []struct {
		name      string
		instances []Instance
		cfg       Config
		active    map[string]string
		standby   map[string]string
		warmup    map[string]string
		moving    string
		probe     bool
	}{
		{"a new instance warms up before it takes tasks", []Instance{{ID: "a", Owned: four}, {ID: "b"}}, big,
			map[string]string{"a": "0_0 0_1 0_2 0_3", "b": ""}, nil, map[string]string{"b": "0_2 0_3"}, "", true},
		{"little state is no reason to wait", []Instance{{ID: "a", Owned: four}, {ID: "b"}}, small,
			map[string]string{"a": "0_0 0_1", "b": ""}, nil, map[string]string{"b": "0_2 0_3"}, "0_2 0_3", false},
		{"nobody has state", []Instance{{ID: "a"}, {ID: "b"}}, big,
			map[string]string{"a": "0_0 0_2", "b": "0_1 0_3"}, nil, nil, "", false},
		{"one warm-up is done", []Instance{{ID: "a", Owned: four}, {ID: "b", Previous: tasks("0_2 0_3"), Lags: map[Task]int64{{0, 2}: 9_000, {0, 3}: 20_000}}}, big,
			map[string]string{"a": "0_0 0_1 0_3", "b": ""}, nil, map[string]string{"b": "0_2 0_3"}, "0_2", true},
		{"an owner gives up what others are ready for", []Instance{{ID: "a", Owned: four}, {ID: "b", Previous: tasks("0_0 0_1")}}, big,
			map[string]string{"a": "0_2 0_3", "b": ""}, nil, map[string]string{"b": "0_0 0_1"}, "0_0 0_1", false},
		{"no warm-ups beyond the bound", []Instance{{ID: "a", Owned: four}, {ID: "b"}}, Config{State: big.State, MaxWarmups: 1},
			map[string]string{"a": "0_0 0_1 0_2 0_3", "b": ""}, nil, map[string]string{"b": "0_2"}, "", true},
		{"a free task goes where it lacks the least", []Instance{
			{ID: "a", Previous: tasks("0_0 0_1"), Lags: lags("0_0 0_1", 50_000)},
			{ID: "b", Previous: tasks("0_0 0_1"), Lags: lags("0_0 0_1", 20_000)}}, Config{State: stateOf("0_0 0_1", 1_000_000)},
			map[string]string{"a": "", "b": "0_0 0_1"}, nil, map[string]string{"a": "0_1"}, "", true},
		{"copies on others", []Instance{{ID: "a", Owned: tasks("0_0 0_1")}, {ID: "b", Owned: tasks("0_2 0_3")}}, Config{State: big.State, Standbys: 1},
			map[string]string{"a": "0_0 0_1", "b": "0_2 0_3"}, map[string]string{"a": "0_2 0_3", "b": "0_0 0_1"}, nil, "", false},
		{"more copies than others", []Instance{{ID: "a", Owned: four}}, Config{State: big.State, Standbys: 2},
			map[string]string{"a": "0_0 0_1 0_2 0_3"}, nil, nil, "", false},
		{"no copies without state", []Instance{{ID: "a", Owned: tasks("0_0 0_1")}, {ID: "b", Owned: tasks("0_2 0_3")}}, Config{Standbys: 1},
			map[string]string{"a": "0_0 0_1", "b": "0_2 0_3"}, nil, nil, "", false},
		{"a copy is where its state is", []Instance{
			{ID: "a", Owned: tasks("0_0")}, {ID: "b", Owned: tasks("0_1")}, {ID: "c", Owned: tasks("0_2"), Previous: tasks("0_0"), Lags: lags("0_0", 10)}},
			Config{State: stateOf("0_0", 1_000_000), Standbys: 1},
			map[string]string{"a": "0_0 0_3", "b": "0_1", "c": "0_2"}, map[string]string{"c": "0_0"}, nil, "", false},
		{"copies in different zones", []Instance{
			{ID: "a", Owned: tasks("0_0 0_1"), Tags: map[string]string{"zone": "x"}},
			{ID: "b", Owned: tasks("0_2"), Tags: map[string]string{"zone": "x"}},
			{ID: "c", Owned: tasks("0_3"), Tags: map[string]string{"zone": "y"}}}, Config{State: big.State, Standbys: 1, Spread: []string{"zone"}},
			map[string]string{"a": "0_0 0_1", "b": "0_2", "c": "0_3"}, map[string]string{"a": "0_3", "c": "0_0 0_1 0_2"}, nil, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			of := four
			if len(tc.cfg.State) == 2 {
				of = four[:2]
			}
			r := Assign(tc.instances, of, tc.cfg)
			got := func(m map[string][]Task) map[string]string {
				out := make(map[string]string)
				for id, ts := range m {
					out[id] = show(ts)
				}
				return out
			}
			orEmpty := func(m map[string]string) map[string]string {
				if m == nil {
					return map[string]string{}
				}
				return m
			}
			if a, s, w := got(r.Active), got(r.Standby), got(r.Warmup); !reflect.DeepEqual(a, tc.active) || !reflect.DeepEqual(s, orEmpty(tc.standby)) ||
				!reflect.DeepEqual(w, orEmpty(tc.warmup)) || show(r.Moving) != tc.moving || r.Probe != tc.probe {
				t.Errorf("active %v, standby %v, warm-up %v, moving %q, probe %v", a, s, w, show(r.Moving), r.Probe)
			}
		})
	}
}

// disk is what an instance has of a state: how many records it lacks.
type disk map[Task]int64

// cluster simulates instances with disks, which come back under new names.
type cluster struct {
	t          *testing.T
	rng        *rand.Rand
	tasks      []Task
	cfg        Config
	disks      map[string]disk // of members, by id
	owned      map[string][]Task
	capacity   map[string]int
	zone       map[string]string
	racks      bool
	idle       []disk // of instances that are away
	generation int32
	next       int
}

func (c *cluster) join() {
	id := fmt.Sprintf("m%03d", c.next)
	c.next++
	d := disk{}
	if n := len(c.idle); n > 0 && c.rng.IntN(2) == 0 {
		d, c.idle = c.idle[n-1], c.idle[:n-1]
	}
	c.disks[id], c.owned[id] = d, nil
	c.capacity[id], c.zone[id] = 1+c.rng.IntN(2), fmt.Sprint(c.rng.IntN(3))
}

func (c *cluster) leave() {
	ids := slices.Sorted(maps.Keys(c.disks))
	id := ids[c.rng.IntN(len(ids))]
	c.idle = append(c.idle, c.disks[id])
	delete(c.disks, id)
	delete(c.owned, id)
}

func (c *cluster) list() []Instance {
	var list []Instance
	for id, d := range c.disks {
		in := Instance{ID: id, Capacity: c.capacity[id], Owned: c.owned[id], Generation: c.generation, Lags: maps.Clone(d), Tags: map[string]string{"zone": c.zone[id]}}
		if c.racks {
			in.Rack = c.zone[id]
		}
		for t := range d {
			if !slices.Contains(in.Owned, t) {
				in.Previous = append(in.Previous, t)
			}
		}
		list = append(list, in)
	}
	c.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// round is one rebalance and what happens until the next: what is kept catches up by up to half a million records, all else falls
// behind by a thousand.
func (c *cluster) round() Result {
	r := Assign(c.list(), c.tasks, c.cfg)
	if again := Assign(c.list(), c.tasks, c.cfg); !reflect.DeepEqual(r, again) {
		c.t.Fatalf("the order of the arguments matters:\n%+v\n%+v", r, again)
	}
	c.check(r)
	c.generation++
	for id, d := range c.disks {
		c.owned[id] = r.Active[id]
		for t := range c.cfg.State {
			lag, there := d[t]
			switch {
			case slices.Contains(r.Active[id], t):
				d[t] = 0
			case slices.Contains(r.Standby[id], t), slices.Contains(r.Warmup[id], t):
				if !there {
					lag = c.cfg.State[t]
				}
				d[t] = max(0, lag-500_000)
			case there:
				d[t] = lag + 1_000
			}
		}
	}
	return r
}

func (c *cluster) check(r Result) {
	runs := make(map[Task]string)
	owner := make(map[Task]string)
	for id, ts := range c.owned {
		for _, t := range ts {
			owner[t] = id
		}
	}
	for id, ts := range r.Active {
		for _, t := range ts {
			if other, ok := runs[t]; ok {
				c.t.Fatalf("A1: %v is given to %s and %s", t, other, id)
			}
			if o, ok := owner[t]; ok && o != id {
				c.t.Fatalf("A1: %v is given to %s while %s has it", t, id, o)
			}
			runs[t] = id
			lag, there := c.disks[id][t]
			if !there {
				lag = c.cfg.State[t]
			}
			for other, d := range c.disks {
				if c.cfg.Sticky {
					break
				}
				if l, ok := d[t]; ok && lag > 10_000 && l < lag && owner[t] != id {
					c.t.Fatalf("A5: %v runs at %s, which lacks %d, rather than at %s, which lacks %d", t, id, lag, other, l)
				}
			}
		}
	}
	if len(runs)+len(r.Moving) != len(c.tasks) {
		c.t.Fatalf("%d tasks are given and %d move, of %d", len(runs), len(r.Moving), len(c.tasks))
	}
	warmups := 0
	copies := make(map[Task]int)
	for id := range c.disks {
		for _, t := range r.Warmup[id] {
			if !slices.Contains(r.Moving, t) {
				warmups++
			}
		}
		seen := make(map[Task]bool)
		for _, t := range slices.Concat(r.Active[id], r.Standby[id], r.Warmup[id]) {
			if seen[t] {
				c.t.Fatalf("A6: %s has %v twice", id, t)
			}
			seen[t] = true
		}
		for _, t := range r.Standby[id] {
			copies[t]++
		}
	}
	if c.cfg.Sticky && (warmups > 0 || r.Probe) {
		c.t.Fatalf("%d warm-ups, though tasks move at once", warmups)
	}
	if warmups > c.cfg.withDefaults().MaxWarmups {
		c.t.Fatalf("A5: %d warm-ups", warmups)
	}
	for t := range c.cfg.State {
		if want := min(c.cfg.Standbys, len(c.disks)-1); copies[t] > want || copies[t] < want-1 { // one may be a warm-up's place
			c.t.Fatalf("A6: %v has %d copies, want %d", t, copies[t], want)
		}
	}
}

// settle rebalances until nothing is left to do, and checks that what was reached is balanced and stays.
func (c *cluster) settle() {
	var r Result
	for round := 0; ; round++ {
		if r = c.round(); len(r.Moving) == 0 && !r.Probe {
			break
		}
		if most := 10 + 6*len(c.tasks); round > most {
			c.t.Fatalf("not settled after %d rebalances: %+v", most, r)
		}
	}
	sum := 0
	for id := range c.disks {
		sum += c.capacity[id]
	}
	for id := range c.disks {
		within := func(what string, have, all int) {
			share := float64(all*c.capacity[id]) / float64(sum)
			if n := float64(have); n >= share+1 || n <= share-1 {
				c.t.Fatalf("A2: %s has %d %s, its share is %.2f", id, have, what, share)
			}
		}
		within("tasks", len(r.Active[id]), len(c.tasks))
		stateful := slices.DeleteFunc(slices.Clone(r.Active[id]), func(t Task) bool { _, ok := c.cfg.State[t]; return !ok })
		within("tasks with state", len(stateful), len(c.cfg.State))
	}
	c.checkNear(r)
	for range 6 {
		r = c.round() // copies follow the last move, and catch up
	}
	for range 3 {
		if again := c.round(); !reflect.DeepEqual(again, r) {
			c.t.Fatalf("A4: it moves on:\n%+v\n%+v", r, again)
		}
	}
}

// checkNear checks that no two tasks of a kind that run now would better change places (A7).
func (c *cluster) checkNear(r Result) {
	if !c.racks {
		return
	}
	runs := make(map[Task]string)
	for id, ts := range r.Active {
		for _, t := range ts {
			runs[t] = id
		}
	}
	cost := func(t Task, id string) int64 { return crossing(c.cfg.Racks.Sources[t], c.zone[id]) }
	for _, t := range c.tasks {
		for _, u := range c.tasks {
			_, state := c.cfg.State[t]
			if _, other := c.cfg.State[u]; state != other || c.cfg.Racks.Strategy == BalanceSubtopology && t.Subtopology != u.Subtopology {
				continue
			}
			saved := cost(t, runs[t]) + cost(u, runs[u]) - cost(t, runs[u]) - cost(u, runs[t])
			if moved := 2 * c.cfg.Racks.NonOverlap; !state && saved > 0 || state && saved*c.cfg.Racks.Traffic > moved {
				c.t.Fatalf("A7: %v at %s and %v at %s should change places, which saves %d", t, runs[t], u, runs[u], saved)
			}
		}
	}
}

// The properties of Kafka Streams' TaskAssignorConvergenceTest, over random histories: it ends, is balanced, and stays.
func TestConvergenceOfState(t *testing.T) {
	t.Parallel()
	for _, strategy := range []Strategy{AnyRack, MinTraffic, BalanceSubtopology} {
		for _, sticky := range []bool{false, true} {
			t.Run(fmt.Sprintf("strategy=%d/sticky=%v", strategy, sticky), func(t *testing.T) {
				t.Parallel()
				converge(t, strategy, sticky)
			})
		}
	}
}

func converge(t *testing.T, strategy Strategy, sticky bool) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 13))
		c := &cluster{t: t, rng: rng, disks: map[string]disk{}, owned: map[string][]Task{}, capacity: map[string]int{}, zone: map[string]string{}}
		c.cfg = Config{State: map[Task]int64{}, Standbys: rng.IntN(3), MaxWarmups: 1 + rng.IntN(3), Spread: []string{"zone"}, Sticky: sticky}
		c.racks = strategy != AnyRack
		c.cfg.Racks = Racks{Strategy: strategy, Traffic: 10, NonOverlap: 1, Sources: map[Task][][]string{}, Changelogs: map[Task][][]string{}}
		for sub := range int32(1 + rng.IntN(3)) {
			stateful := rng.IntN(3) > 0
			for p := range int32(1 + rng.IntN(8)) {
				c.tasks = append(c.tasks, Task{sub, p})
				c.cfg.Racks.Sources[Task{sub, p}], c.cfg.Racks.Changelogs[Task{sub, p}] = randomRacks(rng), randomRacks(rng)
				if stateful {
					c.cfg.State[Task{sub, p}] = rng.Int64N(2_000_000)
				}
			}
		}
		c.join()
		c.settle()
		for range 10 {
			switch n := len(c.disks); {
			case n == 1 || n < 5 && rng.IntN(2) == 0:
				c.join()
			default:
				c.leave()
			}
			if rng.IntN(3) == 0 { // another change before it has settled
				c.round()
				continue
			}
			c.settle()
		}
	}
}

// Both the tasks with state and all tasks are balanced by capacity, however the capacities are and whoever runs what (A2, R-56).
func TestBalanceByCapacity(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 37))
		instances, sum := make([]Instance, 1+rng.IntN(7)), 0
		for i := range instances {
			instances[i] = Instance{ID: fmt.Sprint(i), Capacity: 1 + rng.IntN(4)}
			sum += instances[i].Capacity
		}
		cfg := Config{State: map[Task]int64{}, Sticky: true}
		all := make([]Task, 1+rng.IntN(20))
		for i := range all {
			all[i] = Task{Subtopology: rng.Int32N(3), Partition: int32(i)}
			if rng.IntN(2) == 0 {
				cfg.State[all[i]] = 0
			}
			if in := &instances[rng.IntN(len(instances))]; seed%2 == 0 {
				in.Owned = append(in.Owned, all[i])
			}
		}
		for _, n := range decide(instances, all, cfg).nodes {
			stateful := 0
			for _, t := range n.target {
				if _, ok := cfg.State[t]; ok {
					stateful++
				}
			}
			for _, c := range []struct{ have, of int }{{len(n.target), len(all)}, {stateful, len(cfg.State)}} {
				if low := c.of * n.capacity / sum; c.have < low || c.have > (c.of*n.capacity+sum-1)/sum {
					t.Fatalf("seed %d: an instance with %d of %d workers has %d of %d tasks", seed, n.capacity, sum, c.have, c.of)
				}
			}
		}
	}
}
