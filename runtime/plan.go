package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/member"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// plan relates the topology to the topics of the log.
type plan struct {
	topology *topology.Topology
	cfg      Config
	client   *client.Client
	recorded []byte // canonical form that is known to be written down; the leader's
	matched  atomic.Pointer[topology.Topology]
	settled  bool             // the settings of internal topics are known; the leader's
	checked  map[string]int32 // the partition counts of user topics at the start, before anything was made of them
}

func newPlan(t *topology.Topology, cfg Config, c *client.Client) *plan {
	p := &plan{topology: t, cfg: cfg, client: c}
	p.matched.Store(t)
	return p
}

// check reports what is missing in the log, all at once.
func (p *plan) check(ctx context.Context) error {
	t, found, err := p.look(ctx)
	if err == nil {
		p.checked = userCounts(t, found)
		_, err = countOf(t, found)
	}
	return errors.Join(err, p.checkSinks(ctx))
}

// checkSinks reports topics that the application writes and does not own, and that do not exist.
func (p *plan) checkSinks(ctx context.Context) error {
	names := make(map[string]string) // topic -> who writes it
	for _, n := range p.topology.Nodes {
		if n.Kind == topology.KindSink && !n.Dynamic && !p.topology.IsRepartition(n.Topic) {
			names[n.Topic] = "sink " + n.Name
		}
	}
	if p.cfg.DeadLetterTopic != "" {
		names[p.cfg.DeadLetterTopic] = "Config.DeadLetterTopic"
	}
	topics := slices.Sorted(maps.Keys(names))
	found, err := p.client.ExistingTopics(ctx, topics...)
	if err != nil {
		return err
	}
	var errs []error
	for _, topic := range topics {
		if _, ok := found[topic]; !ok {
			errs = append(errs, fmt.Errorf("%s: topic %s does not exist; create it before starting", names[topic], topic))
		}
	}
	return errors.Join(errs...)
}

// lead is called on the group's leader before it assigns: it makes sure that the internal topics exist, and returns
// the tasks.
func (p *plan) lead(ctx context.Context, _ []member.Info) ([]member.TaskInputs, error) {
	now, err := p.count(ctx)
	if missing, ok := errors.AsType[*topology.UnknownTopicError](err); ok {
		return nil, commit.Fatal(fmt.Errorf("%w. Topic %s was there when this instance started: was it deleted? To go on, create it again, and start "+
			"the application: what comes is added to what its stores hold. To begin anew, reset the application", err, missing.Topic))
	}
	if err != nil {
		return nil, err
	}
	if err := p.lostChangelogs(ctx, now); err != nil {
		return nil, err
	}
	var topics []client.NewTopic
	internal := now.InternalTopics(p.cfg.ApplicationID, now.Partitions)
	for _, t := range internal {
		topics = append(topics, client.NewTopic{
			Name:              t.Name,
			Partitions:        t.Partitions,
			ReplicationFactor: p.cfg.ReplicationFactor,
			Configs:           t.Settings,
		})
	}
	topics = append(topics, p.topologyTopic())
	if err := p.client.CreateTopics(ctx, topics...); err != nil {
		if mismatch, ok := errors.AsType[*client.PartitionCountError](err); ok {
			return nil, p.grown(ctx, mismatch, now)
		}
		return nil, fmt.Errorf("create internal topics: %w", err)
	}
	p.checkSettings(ctx, internal)
	p.record(ctx, now.Partitions)
	var tasks []member.TaskInputs
	for _, sub := range now.Subtopologies() {
		for n := range now.Tasks[sub.Number] {
			tasks = append(tasks, member.TaskInputs{
				Task:   assign.Task{Subtopology: sub.Number, Partition: n},
				Inputs: p.inputs(sub, n, now.Partitions),
			})
		}
	}
	if err := p.measure(ctx, tasks); err != nil {
		return nil, err
	}
	return tasks, p.locate(ctx, tasks)
}

// measure finds out how much state the tasks have: what an instance lacks that has nothing of it.
func (p *plan) measure(ctx context.Context, tasks []member.TaskInputs) error {
	changelogs := make(map[int32][]string)
	for _, sub := range p.topology.Subtopologies() {
		for _, spec := range p.topology.Stores {
			if spec.Logging && spec.SourceTopic == "" && slices.Contains(sub.Stores, spec.Name) {
				changelogs[sub.Number] = append(changelogs[sub.Number], topology.ChangelogTopic(p.cfg.ApplicationID, spec.Name))
			}
		}
	}
	var tps []client.TopicPartition
	for i := range tasks {
		t := &tasks[i]
		for _, name := range changelogs[t.Subtopology] {
			t.Stateful = true
			t.Changelogs = append(t.Changelogs, client.TopicPartition{Topic: name, Partition: t.Partition})
		}
		tps = append(tps, t.Changelogs...)
	}
	if len(tps) == 0 {
		return nil
	}
	ends, err := p.client.ListOffsets(ctx, client.HighWatermark, tps)
	if err != nil {
		return fmt.Errorf("measure changelogs: %w", err)
	}
	starts, err := p.client.ListOffsets(ctx, client.LogStart, tps)
	if err != nil {
		return fmt.Errorf("measure changelogs: %w", err)
	}
	for i := range tasks {
		for _, tp := range tasks[i].Changelogs {
			tasks[i].Records += ends[tp] - starts[tp]
		}
	}
	return nil
}

// tasks describes tasks for the workers that are to make them ready.
func (p *plan) tasks(ctx context.Context, db *state.DB, ids []topology.TaskID) ([]restore.Task, error) {
	now, err := p.count(ctx)
	if err != nil {
		return nil, err
	}
	changelogs, err := p.changelogs(ctx, now.Partitions)
	if err != nil {
		return nil, err
	}
	expires := make(map[string]bool)
	for _, t := range now.InternalTopics(p.cfg.ApplicationID, now.Partitions) {
		expires[t.Name] = strings.Contains(t.Settings["cleanup.policy"], "delete")
	}
	tasks := make([]restore.Task, 0, len(ids))
	for _, id := range ids {
		sub, ok := now.Subtopology(id.Subtopology)
		if !ok || id.Partition >= now.Tasks[id.Subtopology] {
			return nil, fmt.Errorf("task %s was assigned, but this instance's topology has no such task; "+
				"do all instances of %s run the same program?", id, p.cfg.ApplicationID)
		}
		t := restore.Task{
			ID:     id,
			Inputs: p.inputs(sub, id.Partition, now.Partitions),
			Known:  make(map[client.TopicPartition]bool),
			Resets: make(map[client.TopicPartition]topology.OffsetReset),
		}
		for _, in := range t.Inputs {
			if reset := now.OffsetReset(in.Topic); reset != topology.Earliest() { // of a user topic, which has the same name everywhere
				t.Resets[in] = reset
			}
		}
		for _, spec := range p.topology.Stores {
			if !spec.Logging || !slices.Contains(sub.Stores, spec.Name) {
				continue
			}
			partition, err := db.Partition(spec, id.Partition)
			if err != nil {
				return nil, fmt.Errorf("task %s: open store %q: %w", id, spec.Name, err)
			}
			name := p.topology.LogOf(p.cfg.ApplicationID, spec)
			s := restore.Store{
				Name:      spec.Name,
				Changelog: client.TopicPartition{Topic: name, Partition: id.Partition},
				TopicID:   changelogs[name].ID,
				State:     partition,
				Expires:   expires[name],
			}
			if spec.SourceTopic != "" {
				s.Row = spec.Row
			}
			t.Stores = append(t.Stores, s)
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// changelogs looks the changelog topics up. The leader has created them before it assigned the first task.
func (p *plan) changelogs(ctx context.Context, counts topology.Partitions) (map[string]client.Topic, error) {
	var names []string
	for _, t := range p.topology.InternalTopics(p.cfg.ApplicationID, counts) {
		if t.Store != "" {
			names = append(names, t.Name)
		}
	}
	for _, s := range p.topology.Stores {
		if s.SourceTopic != "" {
			names = append(names, p.topology.LogOf(p.cfg.ApplicationID, s))
		}
	}
	found, err := p.client.ExistingTopics(ctx, names...)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, ok := found[name]; !ok {
			return nil, fmt.Errorf("changelog topic %s does not exist; was it deleted?", name)
		}
	}
	return found, nil
}

// lookupTimeout bounds a look-up of a topic by a task.
const lookupTimeout = 10 * time.Second

// partitions returns the partition count of a topic, 0 if it does not exist, and -1 if the log cannot be asked.
func (p *plan) partitions(topic string) int32 {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	found, err := p.client.Topics(ctx, topic)
	if err != nil {
		p.cfg.Logger.Warn("topic cannot be looked up", "topic", topic, "err", err)
		return -1
	}
	return int32(len(found[topic].Partitions))
}

// maxBatchBytes returns the size of the largest batch that a topic takes, and that Config.MaxRecordBytes allows.
func (p *plan) maxBatchBytes(topic string) int {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	n, err := p.client.MaxMessageBytes(ctx, topic)
	if err != nil { // it may be forbidden to ask
		p.cfg.Logger.Debug("how large a record may be cannot be looked up", "topic", topic, "err", err)
		return p.cfg.MaxRecordBytes
	}
	if p.cfg.MaxRecordBytes > 0 {
		n = min(n, p.cfg.MaxRecordBytes)
	}
	return n
}
