package commitlog

import (
	"fmt"

	"github.com/millrace-io/millrace/broker/internal/inspect"
)

// entry tells of the changes of a journal entry, each an item.
func (x *Inspector) entry(lsn LSN, payload []byte) error {
	e, err := decodeEntry(payload)
	if err != nil {
		return x.Emit(inspect.New("fault", "lsn", uint64(lsn), "reason", err.Error()))
	}
	for _, it := range x.changes(&e) {
		it.Fields = append([]inspect.Field{{Name: "lsn", Value: uint64(lsn)}}, it.Fields...)
		if err := x.Emit(it); err != nil {
			return err
		}
	}
	if a := e.append; a != nil {
		return x.batch(a.raw, &a.h, append([]any{"lsn", uint64(lsn)}, append(place(a.TopicPartition), "begin", a.begin, "time", a.time)...)...)
	}
	return nil
}

// changes returns what an entry says but for its batch.
func (x *Inspector) changes(e *entry) (all []inspect.Item) {
	for _, r := range e.records {
		all = append(all, x.record(r.Machine, r.Data))
	}
	for _, b := range e.begins {
		all = append(all, inspect.New("begin", append(place(b.TopicPartition), "producerId", b.ProducerID, "producerEpoch", b.ProducerEpoch)...))
	}
	for _, m := range e.markers {
		all = append(all, inspect.New("marker", append(place(m.TopicPartition), "producerId", m.ProducerID, "producerEpoch", m.ProducerEpoch,
			"coordinatorEpoch", m.CoordinatorEpoch, "commit", m.Commit, "offset", m.offset, "time", m.timestamp)...))
	}
	if t := e.create; t != nil {
		all = append(all, inspect.New("create", topicFields(t)...))
	}
	if e.delete != nil {
		all = append(all, inspect.New("delete", "topicId", e.delete.String()))
	}
	if p := e.expire; p != nil {
		all = append(all, inspect.New("expire", append(place(p.TopicPartition), "producers", fmt.Sprint(p.producers))...))
	}
	if t := e.trim; t != nil {
		all = append(all, inspect.New("trim", append(place(t.TopicPartition), "logStart", t.start)...))
	}
	if g := e.grow; g != nil {
		all = append(all, inspect.New("grow", "topicId", g.topic.String(), "partitions", g.partitions))
	}
	if c := e.configure; c != nil {
		all = append(all, inspect.New("configure", "topicId", c.topic.String(), "configs", configList(c.configs)))
	}
	return all
}

// record tells of a machine's record.
func (x *Inspector) record(id MachineID, data []byte) inspect.Item {
	it, err := x.Describe(id, data)
	if err != nil {
		return inspect.New("fault", "machine", uint8(id), "reason", err.Error())
	}
	return it
}

func place(tp TopicPartition) []any {
	return []any{"topicId", tp.Topic.String(), "partition", tp.Partition}
}

func topicFields(t *Topic) []any {
	return []any{"topic", t.Name, "topicId", t.ID.String(), "partitions", t.Partitions, "configs", configList(t.Configs)}
}

func configList(configs map[string]string) []string {
	list := []string{}
	for _, k := range sortedKeys(configs) {
		list = append(list, k+"="+configs[k])
	}
	return list
}
