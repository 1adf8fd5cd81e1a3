package member

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

// Question is what an assignor of the application is asked: the members, as they described themselves and as package assign sees them, in the same
// order, and the tasks.
type Question struct {
	Members   []Info
	Instances []assign.Instance
	Tasks     []TaskInputs
	Config    assign.Config
}

// plan decides, as the leader, who runs what, and returns what to tell each member, and after what the group is to look again, 0 for not.
func (r *runner) plan(members []memberState) (told map[string][]byte, probe time.Duration, err error) {
	q := Question{Members: make([]Info, len(members)), Instances: make([]assign.Instance, len(members)), Config: r.cfg.Assign}
	common, stop := byte(userDataVersion), false
	for i, m := range members {
		u := m.user
		stop = stop || u.stop
		common = min(common, u.version)
		q.Members[i] = Info{MemberID: m.id, InstanceID: u.instanceID, Capacity: u.capacity, Fingerprint: u.fingerprint, Topics: m.topics, Version: u.version, Endpoint: u.endpoint}
		q.Instances[i] = assign.Instance{ID: m.id, Capacity: u.capacity, Owned: u.owned, Generation: m.generation, Previous: u.previous, Lags: u.lags, Tags: u.tags, Rack: m.rack}
	}
	if q.Tasks, err = r.cfg.Plan(r.ctx, q.Members); err != nil {
		return nil, 0, err
	}
	if common < userDataVersion {
		r.log.Info("members of an older version are in the group; states are not copied until they are gone", "group", r.cfg.Group, "version", common)
	}
	tasks := make([]assign.Task, len(q.Tasks))
	inputs := make(map[assign.Task][]client.TopicPartition, len(q.Tasks))
	for i := range q.Tasks {
		s := &q.Tasks[i]
		s.Stateful = s.Stateful && common >= 2
		tasks[i], inputs[s.Task] = s.Task, s.Inputs
	}
	q.describe()
	result, probe, err := r.assign(&q, tasks)
	if err != nil {
		return nil, 0, err
	}
	r.log.Info("assigned tasks as the group's leader", "group", r.cfg.Group, "members", len(members), "tasks", len(tasks),
		"moving", len(result.Moving), "warming_up", len(result.Warmup))
	hosts := hostsOf(members, &result)
	told = make(map[string][]byte, len(members))
	for id, active := range result.Active {
		a := assignment{tasks: active, stop: stop, copies: copies{standby: result.Standby[id], warmup: result.Warmup[id], hosts: hosts}}
		for _, t := range active {
			a.partitions = append(a.partitions, inputs[t]...)
		}
		told[id] = a.encode(common)
	}
	return told, probe, nil
}

// describe tells package assign what it has to know of the tasks.
func (q *Question) describe() {
	q.Config.State = make(map[assign.Task]int64)
	racks := &q.Config.Racks
	racks.Sources, racks.Changelogs = make(map[assign.Task][][]string), make(map[assign.Task][][]string)
	for _, t := range q.Tasks {
		racks.Sources[t.Task], racks.Changelogs[t.Task] = t.InputRacks, t.ChangelogRacks
		if t.Stateful {
			q.Config.State[t.Task] = t.Records
		}
	}
}

// assign asks the application's assignor, if it has one.
func (r *runner) assign(q *Question, tasks []assign.Task) (result assign.Result, probe time.Duration, err error) {
	if q.Config.Racks.Strategy != assign.AnyRack {
		if err := assign.CheckRacks(q.Instances, tasks, q.Config); err != nil {
			r.log.Warn("tasks are assigned without regard to racks", "group", r.cfg.Group, "err", err)
		}
	}
	if r.cfg.Assignor == nil {
		if result = assign.Assign(q.Instances, tasks, q.Config); result.Probe {
			probe = r.cfg.ProbeInterval
		}
		return result, probe, nil
	}
	target, probe, err := r.cfg.Assignor(q)
	if err == nil {
		result, err = assign.Apply(q.Instances, tasks, target, q.Config)
	}
	if err != nil {
		return result, 0, fmt.Errorf("the assignor of group %q: %w", r.cfg.Group, err)
	}
	return result, probe, nil
}

// hostsOf returns who can be asked about what.
func hostsOf(members []memberState, result *assign.Result) (hosts []Host) {
	for _, m := range members {
		if m.user.endpoint != "" {
			hosts = append(hosts, Host{Endpoint: m.user.endpoint, Tasks: result.Active[m.id], Standby: result.Standby[m.id]})
		}
	}
	slices.SortFunc(hosts, func(a, b Host) int { return strings.Compare(a.Endpoint, b.Endpoint) })
	return hosts
}
