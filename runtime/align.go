package runtime

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/skew"
)

// How often an instance looks how far the others have come: in any case, and while its tasks wait for theirs.
const (
	alignEvery  = 100 * time.Millisecond
	alignUrgent = 10 * time.Millisecond
)

// newBoard returns the instance's board, nil if event time is not kept aligned. An instance that dies holds the others for as long as it
// takes until its tasks are taken over.
func (in *instance) newBoard() *skew.Board {
	if in.cfg.MaxEventTimeSkew <= 0 {
		return nil
	}
	patience := in.cfg.SessionTimeout + in.cfg.TransactionTimeout
	if in.cfg.alignPatience > 0 {
		patience = in.cfg.alignPatience
	}
	return skew.New(in.cfg.MaxEventTimeSkew, patience, in.cfg.Now())
}

// followOthers shows the board how far the tasks have come that do not run here, until ctx ends.
func (in *instance) followOthers(ctx context.Context) {
	ticker := time.NewTicker(alignUrgent)
	defer ticker.Stop()
	var last time.Time
	for {
		if !in.board.Pressing() && in.cfg.Now().Sub(last) < alignEvery {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			continue
		}
		last = in.cfg.Now()
		seen, err := in.look(ctx)
		switch {
		case err == nil:
			in.board.Observe(last, seen)
		case ctx.Err() == nil && in.board.Missed(last):
			in.log.Warn("how far other instances have come cannot be seen; tasks go on without waiting for theirs", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look returns what the group has committed for the inputs of the tasks that do not run here. Where all run here it asks nobody.
func (in *instance) look(ctx context.Context) ([]skew.Seen, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	elsewhere, err := in.elsewhere(ctx)
	if err != nil || len(elsewhere) == 0 {
		return nil, err
	}
	committed, err := in.client.LastCommitted(ctx, in.cfg.ApplicationID, elsewhere)
	if err != nil {
		return nil, err
	}
	ends, err := in.client.ListOffsets(ctx, client.LastStable, elsewhere)
	if err != nil {
		return nil, err
	}
	seen := make([]skew.Seen, 0, len(elsewhere))
	for _, tp := range elsewhere {
		s := skew.Seen{TopicPartition: tp, Committed: -1, Next: -1, End: ends[tp]}
		if c, ok := committed[tp]; ok {
			m, err := commit.DecodeMetadata(c.Metadata)
			if err != nil {
				return nil, fmt.Errorf("%s-%d: %w", tp.Topic, tp.Partition, err)
			}
			s.Committed, s.Next = c.Offset, m.PartitionTime
			if m.HasNext {
				s.Next = m.Next
			}
		}
		seen = append(seen, s)
	}
	return seen, nil
}

// elsewhere returns the inputs of all tasks but those that run here.
func (in *instance) elsewhere(ctx context.Context) ([]client.TopicPartition, error) {
	now, err := in.plan.remembered(ctx)
	if err != nil {
		return nil, err
	}
	here := make(map[client.TopicPartition]bool)
	for _, w := range in.crew() {
		for _, t := range w.Snapshot().Running {
			for _, input := range t.Inputs {
				here[input.TopicPartition] = true
			}
		}
	}
	var all []client.TopicPartition
	for _, sub := range now.Subtopologies() {
		for n := range now.Tasks[sub.Number] {
			all = append(all, in.plan.inputs(sub, n, now.Partitions)...)
		}
	}
	return slices.DeleteFunc(all, func(tp client.TopicPartition) bool { return here[tp] }), nil
}
