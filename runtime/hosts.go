package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// Errors of the questions about other instances.
var (
	// ErrUnknownStore: the topology has no store of that name, or it is that of a global table, which every instance has.
	ErrUnknownStore = errors.New("no such store that instances share")
	// ErrNoHost: no instance that has an Endpoint runs the task now, as far as this instance knows. Ask again after a rebalance.
	ErrNoHost = errors.New("no instance is known to have it")
)

// Host is an instance of the application that has an Endpoint, and what it runs (StreamsMetadata).
type Host struct {
	Endpoint string // host:port
	// Tasks run there; of Standbys it keeps copies of the state. Both are sorted.
	Tasks, Standbys []topology.TaskID
}

// KeyHosts says where the state of a key is (KeyQueryMetadata).
type KeyHosts struct {
	Partition int32
	Active    string   // Endpoint of the instance that has it, empty if that has none
	Standbys  []string // Endpoints of those that have a copy
}

// Hosts returns the instances of the application that have an Endpoint, this one included, sorted, as of the last rebalance that this
// instance took part in (metadataForAllStreamsClients). It does not wait.
func (a *App) Hosts() []Host {
	in := a.instance.Load()
	if in == nil {
		return nil
	}
	told := in.member.Assignment().Hosts
	hosts := make([]Host, len(told))
	for i, h := range told {
		hosts[i] = Host{Endpoint: h.Endpoint, Tasks: taskIDs(h.Tasks), Standbys: taskIDs(h.Standby)}
	}
	return hosts
}

// HostsOf returns those of the Hosts that run a task with the store, or keep a copy of it (streamsMetadataForStore). The error is
// ErrUnknownStore.
func (a *App) HostsOf(store string) ([]Host, error) {
	sub, err := a.subtopologyOf(store)
	if err != nil {
		return nil, err
	}
	has := func(id topology.TaskID) bool { return id.Subtopology == sub.Number }
	return slices.DeleteFunc(a.Hosts(), func(h Host) bool {
		return !slices.ContainsFunc(h.Tasks, has) && !slices.ContainsFunc(h.Standbys, has)
	}), nil
}

// HostsOfPartition returns where one partition of a store is, for those who partition by themselves. Errors are ErrUnknownStore and
// ErrNoHost.
func (a *App) HostsOfPartition(store string, partition int32) (KeyHosts, error) {
	sub, err := a.subtopologyOf(store)
	if err != nil {
		return KeyHosts{}, err
	}
	in := a.instance.Load()
	if in == nil {
		return KeyHosts{}, fmt.Errorf("store %q partition %d: %w: the app does not run", store, partition, ErrNoHost)
	}
	return locate(in.member.Assignment().Hosts, store, assign.Task{Subtopology: sub.Number, Partition: partition})
}

func locate(hosts []member.Host, store string, t assign.Task) (KeyHosts, error) {
	found := KeyHosts{Partition: t.Partition}
	for _, h := range hosts {
		if slices.Contains(h.Tasks, t) {
			found.Active = h.Endpoint
		}
		if slices.Contains(h.Standby, t) {
			found.Standbys = append(found.Standbys, h.Endpoint)
		}
	}
	if found.Active == "" && len(found.Standbys) == 0 {
		return found, fmt.Errorf("store %q partition %d: %w", store, t.Partition, ErrNoHost)
	}
	return found, nil
}

// HostsOfKey returns where the state of a key is, for a store whose keys are partitioned as the sink does unless told otherwise
// (queryMetadataForKey); of a windowed store the key is that without the window. Partition counts are looked up the first time, until
// ctx ends. Errors are ErrUnknownStore, ErrNoHost, and what the serde or the log says.
func HostsOfKey[K any](ctx context.Context, a *App, store string, key K, s serde.Serde[K]) (KeyHosts, error) {
	sub, err := a.subtopologyOf(store)
	if err != nil {
		return KeyHosts{}, err
	}
	in := a.instance.Load()
	if in == nil {
		return KeyHosts{}, fmt.Errorf("store %q: %w: the app does not run", store, ErrNoHost)
	}
	b, err := s.Append(nil, key)
	if err != nil {
		return KeyHosts{}, fmt.Errorf("store %q: encode key: %w", store, err)
	}
	count, err := in.plan.size(ctx, sub)
	if err != nil {
		return KeyHosts{}, fmt.Errorf("store %q: %w", store, err)
	}
	return a.HostsOfPartition(store, topology.PartitionOf(b, count))
}

// size returns how many tasks a sub-topology has, from what is known of its sources.
func (p *plan) size(ctx context.Context, sub topology.Subtopology) (int32, error) {
	sub, _ = p.matched.Load().Subtopology(sub.Number)
	names := make([]string, len(sub.Sources))
	for i, source := range sub.Sources {
		names[i] = p.topology.Internal(p.cfg.ApplicationID, source)
	}
	found, err := p.client.Topics(ctx, names...)
	if err != nil {
		return 0, err
	}
	count := 0
	for _, t := range found {
		count = max(count, len(t.Partitions))
	}
	if count == 0 {
		return 0, fmt.Errorf("topics %q do not exist", names)
	}
	return int32(count), nil
}

// subtopologyOf finds the sub-topology that has the store.
func (a *App) subtopologyOf(store string) (topology.Subtopology, error) {
	for _, sub := range a.topology.Subtopologies() {
		if slices.Contains(sub.Stores, store) {
			return sub, nil
		}
	}
	why := "the topology has none of that name"
	if slices.ContainsFunc(a.topology.Stores, func(s *state.Spec) bool { return s.Name == store }) {
		why = "it is a global table's, which every instance has"
	}
	return topology.Subtopology{}, fmt.Errorf("store %q: %w: %s", store, ErrUnknownStore, why)
}

func taskIDs(tasks []assign.Task) []topology.TaskID {
	ids := make([]topology.TaskID, len(tasks))
	for i, t := range tasks {
		ids[i] = taskID(t)
	}
	return ids
}
