package runtime

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/topology"
)

// Assignor decides which instance runs which task (TaskAssignor, KIP-924).
//
// Assign is called on the instance that leads the group, at each rebalance, by one goroutine at a time, while the group waits: it must not wait for
// the App. It should not depend on anything but the state of the application, so that every leader decides alike. What it answers is reached step by
// step: a task that another instance runs is taken from that one first, and its state is kept up to date until it is given. Whether a state is where
// its task is put is the Assignor's affair: Config's NumStandbyReplicas, MaxWarmupReplicas and the like are heeded by what is done without one.
//
// An error, a panic, or an answer that is not valid (see TaskAssignment) stops the leading instance, with an error that says what is wrong. Unlike in
// Kafka Streams no error has the rebalance tried again: all that has to be asked of the log is asked before.
type Assignor interface {
	Assign(ApplicationState) (TaskAssignment, error)
}

// ApplicationState is what an Assignor decides on (ApplicationState). It may keep it, and change it.
type ApplicationState struct {
	Tasks     []TaskInfo      // all of them, sorted by ID
	Instances []InstanceState // all members of the group, sorted by ID; at least one
	cfg       Config
}

// TaskInfo describes a task.
type TaskInfo struct {
	ID topology.TaskID
	// Stateful: it has stores with changelogs, which hold Records.
	Stateful bool
	Records  int64
	// Partitions are what it reads and has its state in.
	Partitions []TaskPartition
}

// TaskPartition is a partition that a task reads, or a changelog of it.
type TaskPartition struct {
	Topic     string
	Partition int32
	Changelog bool
	// Racks are where the brokers are that have a replica, sorted; none if that is not known (broker.rack).
	Racks []string
}

// InstanceState describes an instance.
type InstanceState struct {
	ID         string // member id; another one after each start
	InstanceID string // stays the same as long as the instance has its StateDir
	Capacity   int    // Config.Workers
	// Running are the tasks that it runs, sorted; State are others whose state it has, whole or in part, since it ran them before or keeps a
	// copy.
	Running, State []topology.TaskID
	// Lags says how many records of the changelogs are missing in the state of each task with state: all of them where it has nothing.
	Lags map[topology.TaskID]int64
	// Tags are Config.ClientTags, Rack is Config.ClientRack, and Endpoint is Config.Endpoint.
	Tags           map[string]string
	Rack, Endpoint string
	// generation is that in which it was given what runs: of two that claim a task, the later one has it.
	generation int32
}

// TaskAssignment is an Assignor's answer (TaskAssignment).
type TaskAssignment struct {
	// Instances says by ID what each instance is to have. It must name every instance, and no other; every task must run on one, and a copy of a
	// state may lie on an instance that does not run the task, once.
	Instances map[string]InstanceTasks
	// FollowupAfter is after what the group rebalances again, because what was decided was not what there should be in the end
	// (withFollowupRebalance). 0: when something happens.
	FollowupAfter time.Duration
}

// InstanceTasks is what an instance is to have: the tasks that it runs, and those whose state it keeps a copy of.
type InstanceTasks struct{ Active, Standby []topology.TaskID }

// HighAvailability returns what is done without an Assignor: a task with state runs where its state is caught up, and is made ready elsewhere before it
// moves there (KIP-441). Warm-ups are among the copies. An Assignor may begin with it. It is by the Config of the leading instance, or for an
// ApplicationState that a test has made, by the zero Config.
func (s ApplicationState) HighAvailability() TaskAssignment { return s.decide(false) }

// Sticky returns what StickyAssignor does.
func (s ApplicationState) Sticky() TaskAssignment { return s.decide(true) }

// StickyAssignor returns an Assignor that leaves tasks where they run, else puts them where their state is, as far as the number of tasks by worker
// is balanced. A task moves at once, though its state may have to be restored first (StickyTaskAssignor).
func StickyAssignor() Assignor { return stickyAssignor{} }

type stickyAssignor struct{}

// Assign implements Assignor.
func (stickyAssignor) Assign(s ApplicationState) (TaskAssignment, error) { return s.Sticky(), nil }

func (s ApplicationState) decide(sticky bool) TaskAssignment {
	cfg := s.cfg.assignConfig(sticky)
	cfg.State = make(map[assign.Task]int64)
	cfg.Racks.Sources, cfg.Racks.Changelogs = make(map[assign.Task][][]string), make(map[assign.Task][][]string)
	tasks := make([]assign.Task, len(s.Tasks))
	for i, t := range s.Tasks {
		id := assignTask(t.ID)
		tasks[i] = id
		if t.Stateful {
			cfg.State[id] = t.Records
		}
		for _, p := range t.Partitions {
			if p.Changelog {
				cfg.Racks.Changelogs[id] = append(cfg.Racks.Changelogs[id], p.Racks)
			} else {
				cfg.Racks.Sources[id] = append(cfg.Racks.Sources[id], p.Racks)
			}
		}
	}
	instances := make([]assign.Instance, len(s.Instances))
	for i, in := range s.Instances {
		lags := make(map[assign.Task]int64, len(in.Lags))
		for id, lag := range in.Lags {
			lags[assignTask(id)] = lag
		}
		instances[i] = assign.Instance{ID: in.ID, Capacity: in.Capacity, Owned: assignTasks(in.Running), Generation: in.generation,
			Previous: assignTasks(in.State), Lags: lags, Tags: in.Tags, Rack: in.Rack}
	}
	target, probe := assign.Decide(instances, tasks, cfg)
	answer := TaskAssignment{Instances: make(map[string]InstanceTasks, len(target))}
	for id, place := range target {
		answer.Instances[id] = InstanceTasks{Active: taskIDs(place.Active), Standby: taskIDs(place.Standby)}
	}
	if probe {
		answer.FollowupAfter = s.cfg.withDefaults().ProbingRebalanceInterval
	}
	return answer
}

// askAssignor puts the group leader's question to Config.Assignor.
func (in *instance) askAssignor(q *member.Question) (target assign.Target, followup time.Duration, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	answer, err := in.cfg.Assignor.Assign(applicationState(q, in.cfg))
	if err != nil {
		return nil, 0, err
	}
	if answer.FollowupAfter < 0 {
		return nil, 0, fmt.Errorf("FollowupAfter is %v", answer.FollowupAfter)
	}
	target = make(assign.Target, len(answer.Instances))
	for id, tasks := range answer.Instances {
		target[id] = assign.Place{Active: assignTasks(tasks.Active), Standby: assignTasks(tasks.Standby)}
	}
	return target, answer.FollowupAfter, nil
}

// applicationState describes what the leader knows. It shares nothing with it.
func applicationState(q *member.Question, cfg Config) ApplicationState {
	s := ApplicationState{cfg: cfg}
	for _, t := range q.Tasks {
		info := TaskInfo{ID: taskID(t.Task), Stateful: t.Stateful, Records: t.Records}
		info.addPartitions(t.Inputs, t.InputRacks, false)
		info.addPartitions(t.Changelogs, t.ChangelogRacks, true)
		s.Tasks = append(s.Tasks, info)
	}
	slices.SortFunc(s.Tasks, func(a, b TaskInfo) int { return a.ID.Compare(b.ID) })
	for i, m := range q.Members {
		in := q.Instances[i]
		state := InstanceState{ID: m.MemberID, InstanceID: m.InstanceID, Capacity: max(1, m.Capacity), Running: taskIDs(in.Owned),
			Lags: make(map[topology.TaskID]int64), Tags: maps.Clone(in.Tags), Rack: in.Rack, Endpoint: m.Endpoint, generation: in.Generation}
		for _, t := range q.Tasks {
			runs, had := slices.Contains(in.Owned, t.Task), slices.Contains(in.Previous, t.Task)
			if had && !runs {
				state.State = append(state.State, taskID(t.Task))
			}
			if !t.Stateful {
				continue
			}
			lag, known := in.Lags[t.Task]
			switch {
			case runs, had && !known:
				lag = 0
			case !had:
				lag = t.Records
			}
			state.Lags[taskID(t.Task)] = lag
		}
		slices.SortFunc(state.Running, topology.TaskID.Compare)
		slices.SortFunc(state.State, topology.TaskID.Compare)
		s.Instances = append(s.Instances, state)
	}
	slices.SortFunc(s.Instances, func(a, b InstanceState) int { return strings.Compare(a.ID, b.ID) })
	return s
}

// addPartitions adds partitions with their racks, if these are known.
func (t *TaskInfo) addPartitions(partitions []client.TopicPartition, racks [][]string, changelog bool) {
	for i, tp := range partitions {
		p := TaskPartition{Topic: tp.Topic, Partition: tp.Partition, Changelog: changelog}
		if i < len(racks) {
			p.Racks = slices.Clone(racks[i])
		}
		t.Partitions = append(t.Partitions, p)
	}
}

func assignTasks(ids []topology.TaskID) []assign.Task {
	tasks := make([]assign.Task, len(ids))
	for i, id := range ids {
		tasks[i] = assignTask(id)
	}
	return tasks
}
