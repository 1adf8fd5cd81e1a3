package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/commit"
	"github.com/millrace-io/millrace/runtime/internal/task"
	"github.com/millrace-io/millrace/topology"
)

// judge has decided what the log has refused after it was sent, if there is anything. It runs between the steps of tasks, whose
// handlers it asks, record by record:
//
//   - A record that the broker named is left out if the handler lets it pass. The others of its batch are sent again in the same
//     transaction, which has come to no harm (see client.Refusal).
//   - A partition that could not be written in time is done without until the next commit, if the handler lets that pass. If the log may
//     hold what was sent, the transaction is begun anew, and meets the partition as given up: handlers are asked again, for what they
//     have sent and counted is gone with the transaction.
//   - Retry begins the transaction anew, and so does a missing handler where that may help; the machine's back-off and time-out apply.
//   - Anything else fails the task.
func (w *Worker) judge(ctx context.Context) error {
	for _, r := range w.cfg.Producer.Refusals() {
		if err := w.judgeOne(ctx, &r); err != nil {
			return err
		}
	}
	return nil
}

// errOutcome begins a transaction anew that may hold what it is to do without.
var errOutcome = errors.New("the log may hold records that are to be left out; the transaction is done again without them")

func (w *Worker) judgeOne(ctx context.Context, r *client.Refusal) error {
	records := r.Records
	if r.Retriable {
		if open := w.out.Withdraw(r.TopicPartition); open != nil { // it would fare no better
			for i := range open.Len() {
				o, known := open.Origin(i)
				records = append(records, client.Refused{Origin: o, Known: known, Err: records[0].Err})
			}
		}
	}
	for i := range records {
		if err := w.ask(ctx, r, &records[i]); err != nil {
			return err
		}
	}
	if r.Retriable {
		w.out.GiveUp(r.TopicPartition, records[0].Err)
	}
	if r.Unknown {
		return fmt.Errorf("%s-%d: %w: %w", r.Topic, r.Partition, errOutcome, records[0].Err)
	}
	w.out.Dropped(r.Topic, len(records))
	return w.cfg.Producer.Resume(r.TopicPartition)
}

// ask asks the task that wrote a record. nil: it is left out.
func (w *Worker) ask(ctx context.Context, r *client.Refusal, record *client.Refused) error {
	refusal := &topology.WriteError{Topic: r.Topic, Partition: r.Partition, Err: record.Err, Retriable: r.Retriable}
	from := record.Origin
	i, ok := slices.BinarySearchFunc(w.tasks, from.Task, func(r *running, id topology.TaskID) int { return r.spec.ID.Compare(id) })
	if !ok || !record.Known {
		return commit.Fatal(refusal)
	}
	t := w.tasks[i].task
	raw, err := w.readInput(ctx, t, from)
	if err != nil {
		return err
	}
	if err := t.Refused(from, raw, refusal, r.Final); err != nil {
		return w.taskError(err)
	}
	return nil
}

// readInput returns the record that another one was made from, nil if there is none or nobody will look at it.
func (w *Worker) readInput(ctx context.Context, t *task.Task, from task.Origin) (*topology.Raw, error) {
	source := t.Source(from)
	if w.cfg.ReadInput == nil || from.Node < 0 || source.Offset < 0 || !t.Asks() {
		return nil, nil
	}
	raw, err := w.cfg.ReadInput(ctx, client.TopicPartition{Topic: source.Topic, Partition: source.Partition}, source.Offset)
	if err != nil {
		return nil, fmt.Errorf("read again what the log has refused the result of: %w", err)
	}
	return raw, nil
}
