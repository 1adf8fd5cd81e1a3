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

func tasks(list string) []Task {
	var ts []Task
	for _, s := range strings.Fields(list) {
		var t Task
		if _, err := fmt.Sscanf(s, "%d_%d", &t.Subtopology, &t.Partition); err != nil {
			panic(err)
		}
		ts = append(ts, t)
	}
	return ts
}

func show(ts []Task) string {
	var b strings.Builder
	for i, t := range ts {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d_%d", t.Subtopology, t.Partition)
	}
	return b.String()
}

func TestAssign(t *testing.T) {
	t.Parallel()
	all := tasks("0_0 0_1 0_2 0_3 1_0 1_1 1_2 1_3")
	for _, tc := range []struct {
		name      string
		instances []Instance
		tasks     []Task
		want      map[string]string
		moving    string
	}{
		{"nobody", nil, all, map[string]string{}, ""},
		{"nothing", []Instance{{ID: "a"}}, nil, map[string]string{"a": ""}, ""},
		{"one takes all", []Instance{{ID: "a"}}, all, map[string]string{"a": show(all)}, ""},
		{"two fresh ones share each sub-topology", []Instance{{ID: "a"}, {ID: "b"}}, all,
			map[string]string{"a": "0_0 0_2 1_0 1_2", "b": "0_1 0_3 1_1 1_3"}, ""},
		{"shares follow capacity", []Instance{{ID: "a", Capacity: 3}, {ID: "b", Capacity: 1}}, all,
			map[string]string{"a": "0_0 0_2 0_3 1_0 1_2 1_3", "b": "0_1 1_1"}, ""},
		{"a second one: tasks are first taken from the owner", []Instance{{ID: "a", Owned: all}, {ID: "b"}}, all,
			map[string]string{"a": "0_0 0_1 1_0 1_1", "b": ""}, "0_2 0_3 1_2 1_3"},
		{"and then given", []Instance{{ID: "a", Owned: tasks("0_0 0_1 1_0 1_1")}, {ID: "b"}}, all,
			map[string]string{"a": "0_0 0_1 1_0 1_1", "b": "0_2 0_3 1_2 1_3"}, ""},
		{"half released", []Instance{{ID: "a", Owned: tasks("0_0 0_1 0_3 1_0 1_1 1_3")}, {ID: "b"}}, all,
			map[string]string{"a": "0_0 0_1 1_0 1_1", "b": "0_2 1_2"}, "0_3 1_3"},
		{"an owner keeps what it has, whatever others had before", []Instance{{ID: "a", Owned: tasks("0_0")}, {ID: "b", Owned: tasks("0_1"), Previous: tasks("0_0")}},
			tasks("0_0 0_1"), map[string]string{"a": "0_0", "b": "0_1"}, ""},
		{"free tasks go where they ran", []Instance{{ID: "a"}, {ID: "b", Previous: tasks("0_0 1_0")}}, tasks("0_0 0_1 1_0 1_1"),
			map[string]string{"a": "0_1 1_1", "b": "0_0 1_0"}, ""},
		{"but not above the share", []Instance{{ID: "a"}, {ID: "b", Previous: tasks("0_0 0_1 1_0 1_1")}}, tasks("0_0 0_1 1_0 1_1"),
			map[string]string{"a": "1_0 1_1", "b": "0_0 0_1"}, ""},
		{"of two claims the later one counts", []Instance{{ID: "a", Owned: tasks("0_0"), Generation: 4}, {ID: "b", Owned: tasks("0_0"), Generation: 5}}, tasks("0_0 0_1"),
			map[string]string{"a": "0_1", "b": "0_0"}, ""},
		{"in whatever order they come", []Instance{{ID: "a", Owned: tasks("0_1"), Generation: 5}, {ID: "b", Owned: tasks("0_0 0_1"), Generation: 4}}, tasks("0_0 0_1"),
			map[string]string{"a": "0_1", "b": "0_0"}, ""},
		{"who claims a task twice has it", []Instance{{ID: "a"}, {ID: "b", Owned: tasks("0_0 0_0")}}, tasks("0_0 0_1"),
			map[string]string{"a": "0_1", "b": "0_0"}, ""},
		{"of two equal claims neither", []Instance{{ID: "a", Owned: tasks("0_0"), Generation: 5}, {ID: "b", Owned: tasks("0_0"), Generation: 5}}, tasks("0_0 0_1"),
			map[string]string{"a": "", "b": "0_1"}, "0_0"},
		{"a task that is gone is given to nobody", []Instance{{ID: "a", Owned: tasks("0_0 7_7")}}, tasks("0_0"), map[string]string{"a": "0_0"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := Assign(tc.instances, tc.tasks, Config{})
			got := make(map[string]string)
			for id, ts := range r.Active {
				got[id] = show(ts)
			}
			if !reflect.DeepEqual(got, tc.want) || show(r.Moving) != tc.moving {
				t.Errorf("got  %v, moving %q\nwant %v, moving %q", got, show(r.Moving), tc.want, tc.moving)
			}
		})
	}
}

// group simulates instances that do what they are told.
type group struct {
	t          *testing.T
	rng        *rand.Rand
	tasks      []Task
	cfg        Config
	instances  map[string]*Instance
	generation int32
	next       int
}

func (g *group) list() []Instance {
	var list []Instance
	for _, in := range g.instances {
		list = append(list, *in)
	}
	g.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func (g *group) join() {
	id := fmt.Sprintf("m%02d", g.next)
	g.next++
	g.instances[id] = &Instance{ID: id, Capacity: 1 + g.rng.IntN(3)}
}

func (g *group) leave() {
	ids := slices.Sorted(maps.Keys(g.instances))
	delete(g.instances, ids[g.rng.IntN(len(ids))])
}

// settle rebalances until nothing moves, checking each step, and returns how many tasks changed their owner.
func (g *group) settle() (moved int) {
	for round := 1; ; round++ {
		owner := make(map[Task]string)
		for id, in := range g.instances {
			for _, t := range in.Owned {
				owner[t] = id
			}
		}
		list := g.list()
		r := Assign(list, g.tasks, g.cfg)
		g.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if again := Assign(list, g.tasks, g.cfg); !reflect.DeepEqual(r, again) {
			g.t.Fatalf("the order of the arguments matters:\n%v\n%v", r, again)
		}
		seen := make(map[Task]string)
		for id, active := range r.Active {
			for _, t := range active {
				if other, ok := seen[t]; ok {
					g.t.Fatalf("A1: %v is given to %s and %s", t, other, id)
				}
				seen[t] = id
				if o, owned := owner[t]; owned && o != id {
					g.t.Fatalf("A1: %v is given to %s while %s has it", t, id, o)
				}
				if _, owned := owner[t]; !owned {
					moved++
				}
			}
		}
		if len(seen)+len(r.Moving) != len(g.tasks) {
			g.t.Fatalf("%d tasks are given and %d move, of %d", len(seen), len(r.Moving), len(g.tasks))
		}
		g.generation++
		for id, in := range g.instances {
			in.Owned, in.Generation = r.Active[id], g.generation
			in.Previous = append(slices.Clone(in.Previous), in.Owned...)
		}
		if len(r.Moving) == 0 {
			return moved
		}
		if round == 2 {
			g.t.Fatal("still moving after two rounds")
		}
	}
}

func (g *group) checkBalance() {
	sum := 0
	for _, in := range g.instances {
		sum += in.Capacity
	}
	for id, in := range g.instances {
		share := float64(len(g.tasks)*in.Capacity) / float64(sum)
		if n := float64(len(in.Owned)); n >= share+1 || n <= share-1 {
			g.t.Fatalf("A2: %s has %d tasks, its share is %.2f", id, len(in.Owned), share)
		}
	}
	for id, active := range Assign(g.list(), g.tasks, g.cfg).Active {
		if !slices.Equal(active, g.instances[id].Owned) {
			g.t.Fatalf("A4: %s has %v and would get %v", id, g.instances[id].Owned, active)
		}
	}
}

func TestConvergence(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		g := &group{t: t, rng: rand.New(rand.NewPCG(seed, 7)), instances: make(map[string]*Instance)}
		for sub := range int32(1 + g.rng.IntN(3)) {
			for p := range int32(1 + g.rng.IntN(12)) {
				g.tasks = append(g.tasks, Task{sub, p})
			}
		}
		g.join()
		g.settle()
		for range 20 {
			gone := 0
			if n := len(g.instances); n == 1 || n < 5 && g.rng.IntN(2) == 0 {
				g.join()
			} else {
				before := 0
				for _, in := range g.instances {
					before += len(in.Owned)
				}
				g.leave()
				for _, in := range g.instances {
					before -= len(in.Owned)
				}
				gone = before
			}
			moved := g.settle()
			if n := len(g.instances); gone > 0 && moved < gone || moved > len(g.tasks) && n > 1 {
				t.Fatalf("seed %d: %d tasks moved, %d were free", seed, moved, gone)
			}
			g.checkBalance()
		}
	}
}

// With equal capacities, who leaves moves only its own tasks, and who joins only its share (A3).
func TestSticky(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		g := &group{t: t, rng: rand.New(rand.NewPCG(seed, 11)), instances: make(map[string]*Instance)}
		for p := range int32(3 + g.rng.IntN(30)) {
			g.tasks = append(g.tasks, Task{0, p})
		}
		for n := 1; n <= 5; n++ {
			g.join()
			for _, in := range g.instances {
				in.Capacity = 1
			}
			moved := g.settle()
			if share := (len(g.tasks) + n - 1) / n; moved > share && n > 1 {
				t.Fatalf("seed %d: number %d joined, %d of %d tasks moved", seed, n, moved, len(g.tasks))
			}
		}
		for n := 5; n > 1; n-- {
			before := len(g.tasks)
			g.leave()
			for _, in := range g.instances {
				before -= len(in.Owned)
			}
			if moved := g.settle(); moved != before {
				t.Fatalf("seed %d: one of %d left with %d tasks, %d moved", seed, n, before, moved)
			}
		}
	}
}
