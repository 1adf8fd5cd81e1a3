package task

import (
	"github.com/millrace-io/millrace/topology"
)

// Origin says where a record that was written comes from, for the case that the log refuses it after it was sent. It holds no
// pointers: one goes with each record of a batch.
type Origin struct {
	Task   topology.TaskID
	Node   topology.NodeID // the sink; negative: it is a store's change or a dead letter, and nobody is asked about it
	Input  int32           // of the record it was made from, as in Inputs; -1: none, or of several
	Offset int64           // of that record
	Time   int64           // its event time
}

// noNode is the node of what no sink has written.
const noNode topology.NodeID = -1

// originOf returns where what is written now comes from. It is valid until the next call.
func (t *Task) originOf(node topology.NodeID) *Origin {
	source := &t.source
	if t.raw == nil && t.origins.at > 0 {
		source = &t.origins.list[t.origins.at-1].coords
	}
	o := &t.origin
	*o = Origin{Task: t.id, Node: node, Input: -1, Offset: source.Offset, Time: t.time}
	if source.Partition < 0 {
		return o
	}
	for i, q := range t.queues {
		if q.in.Topic == source.Topic {
			o.Input = int32(i)
			break
		}
	}
	return o
}

// Source returns the coordinates of the record that an output record of this task was made from.
func (t *Task) Source(from Origin) topology.Coordinates {
	if from.Input < 0 || int(from.Input) >= len(t.queues) {
		return nowhere
	}
	in := t.queues[from.Input].in
	return topology.Coordinates{Topic: in.Topic, Partition: in.Partition, Offset: from.Offset}
}

// Asks reports whether somebody decides about what the log refuses: then Refused wants the input record.
func (t *Task) Asks() bool { return t.cfg.Production != nil || t.cfg.DeadLetterTopic != "" }

// Refused tells the task that the log has not taken a record after it was sent, and asks the production handler, if a handler may decide
// about it at all. input is the record it was made from, nil if there is none or it is gone. nil means: the record is dropped and
// counted. Else the sticky error, as of Step; see Error.Retry. It is called between Steps, and before Committed.
func (t *Task) Refused(from Origin, input *topology.Raw, refusal *topology.WriteError, final bool) error {
	if t.err != nil {
		return t.err
	}
	source, raw, time, at := t.source, t.raw, t.time, t.origins.at
	defer func() { t.source, t.raw, t.time, t.origins.at = source, raw, time, at }()
	t.source, t.raw, t.time, t.origins.at = t.Source(from), input, from.Time, 0
	switch {
	case from.Node == noNode:
		// A store with a change that its changelog has not got would not be what is restored; a dead letter has no dead letter.
		t.err = &Error{Task: t.id, Source: t.source, Err: refusal, Retry: refusal.Retriable}
		return t.err
	case final:
		t.fail(t.cfg.Topology.Nodes[from.Node].Name, refusal)
		return t.err
	}
	return t.decide(doorProduction, t.cfg.Topology.Nodes[from.Node], refusal)
}
