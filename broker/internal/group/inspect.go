package group

import (
	"fmt"

	"github.com/millrace-io/millrace/broker/internal/fields"
	"github.com/millrace-io/millrace/broker/internal/inspect"
)

// Describe says what a record means.
func Describe(record []byte) (inspect.Item, error) {
	d := fields.NewDecoder(record)
	var it inspect.Item
	switch kind := d.Byte(); kind {
	case recordGeneration:
		g := decodeGeneration(d)
		if err := d.End(); err != nil {
			return it, err
		}
		return g.describe(), nil
	case recordOffsets:
		it = inspect.New("group.offsets")
		describeOffsets(d, &it)
	case recordStaged:
		it = inspect.New("group.staged", "producerId", d.Int())
		describeOffsets(d, &it)
	case recordEnd:
		it = inspect.New("group.end", "producerId", d.Int(), "commit", d.Bool())
	case recordForget:
		it = inspect.New("group.forget", "topicId", inspect.ID(d.ID()))
	case recordDelete:
		it = inspect.New("group.delete", "group", d.String())
	case recordDeleteOffsets:
		it = inspect.New("group.deleteOffsets", "group", d.String())
		partitions := []string{}
		for range d.Count(1) {
			partitions = append(partitions, fmt.Sprintf("%s-%d", inspect.ID(d.ID()), d.Int()))
		}
		it.Add("partitions", partitions)
	case recordConsumerGroup, recordConsumerMember, recordConsumerTarget, recordConsumerGone, recordConsumerEnd:
		it = describeConsumer(kind, d)
	default:
		d.Fail()
	}
	return it, d.End()
}

func describeOffsets(d *fields.Decoder, it *inspect.Item) {
	it.Add("group", d.String(), "time", d.Int())
	offsets := []string{}
	for range d.Count(1) {
		s := fmt.Sprintf("%s-%d=%d/%d", inspect.ID(d.ID()), d.Int(), d.Int(), d.Int())
		if metadata := d.String(); metadata != "" {
			s += fmt.Sprintf("/%q", metadata)
		}
		offsets = append(offsets, s)
	}
	it.Add("offsets", offsets)
}

func (g *group) describe() inspect.Item {
	it := inspect.New("group.generation", "group", g.name, "state", g.state.String(), "generation", g.generation,
		"protocolType", g.protocolType, "protocol", g.protocol, "leader", g.leader, "emptySince", g.emptySince)
	members := []string{}
	for _, m := range g.ordered() {
		s := m.id
		if m.instance != "" {
			s += " (" + m.instance + ")"
		}
		members = append(members, fmt.Sprintf("%s client %s at %s, session %v, assignment of %d bytes", s, m.clientID, m.host, m.session, len(m.assignment)))
	}
	it.Add("members", members)
	return it
}
