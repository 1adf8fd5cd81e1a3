package coordinator

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
)

// answer is what a parked call gets.
type answer struct {
	reply group.Reply
	lsn   commitlog.LSN
	err   error
}

// Parked is a call that waits for other members of its group.
type Parked struct {
	c      *Coordinator
	answer <-chan answer
}

// Await returns the answer once it is durable. It returns ctx's error if the client went away, or ErrClosing.
func (p Parked) Await(ctx context.Context) (group.Reply, error) {
	select {
	case a := <-p.answer:
		if a.err != nil {
			return group.Reply{}, a.err
		}
		return a.reply, p.c.log.Wait(ctx, a.lsn)
	case <-ctx.Done():
		return group.Reply{}, context.Cause(ctx)
	case <-p.c.closing:
		return group.Reply{}, ErrClosing
	}
}

// Join handles JoinGroup; the reply has Join set.
func (c *Coordinator) Join(r group.JoinRequest) Parked {
	return c.park(func(call group.Call) group.Effects { return c.groups.Join(c.now(), c.topics(), call, r) })
}

// Sync handles SyncGroup; the reply has Sync set.
func (c *Coordinator) Sync(r group.SyncRequest) Parked {
	return c.park(func(call group.Call) group.Effects { return c.groups.Sync(c.now(), c.topics(), call, r) })
}

func (c *Coordinator) park(step func(group.Call) group.Effects) Parked {
	c.groups.Lock()
	defer c.groups.Unlock()
	ch := make(chan answer, 1)
	c.groups.lastCall++
	call := c.groups.lastCall
	c.groups.calls[call] = ch
	if err := c.performLocked(step(call)); err != nil {
		delete(c.groups.calls, call) // if it was not answered already
		select {
		case ch <- answer{err: err}:
		default:
		}
	}
	c.groups.alarm.set(c.groups.Next())
	return Parked{c, ch}
}

// performLocked makes records durable and answers calls. On an error nothing is durable, and the calls get it.
func (c *Coordinator) performLocked(e group.Effects) error {
	lsn := c.log.Enqueued()
	var err error
	if len(e.Records) > 0 {
		lsn, _, err = c.log.Commit(commitlog.Update{Records: records(groupMachineID, e.Records...)})
	}
	for _, r := range e.Replies {
		if ch := c.groups.calls[r.Call]; ch != nil {
			delete(c.groups.calls, r.Call)
			ch <- answer{r, lsn, err}
		}
	}
	return err
}

// Heartbeat handles Heartbeat. The result may be told when the LSN is durable: at once, unless the heartbeat has changed something.
func (c *Coordinator) Heartbeat(r group.HeartbeatRequest) (result *kerr.Error, lsn commitlog.LSN, err error) {
	c.groups.Lock()
	defer c.groups.Unlock()
	e, result := c.groups.Heartbeat(c.now(), c.topics(), r)
	if len(e.Records) > 0 {
		err = c.performLocked(e)
		lsn = c.log.Enqueued()
	}
	c.groups.alarm.set(c.groups.Next())
	return result, lsn, err
}

// Leave handles LeaveGroup. The results may be told when the LSN is durable.
func (c *Coordinator) Leave(name string, members []group.LeaveMember) (results []*kerr.Error, groupErr *kerr.Error, lsn commitlog.LSN, err error) {
	c.groups.Lock()
	defer c.groups.Unlock()
	e, results, groupErr := c.groups.Leave(c.now(), c.topics(), name, members)
	err = c.performLocked(e)
	c.groups.alarm.set(c.groups.Next())
	return results, groupErr, c.log.Enqueued(), err
}

// CommitOffsets handles OffsetCommit. The results may be told when the LSN is durable.
func (c *Coordinator) CommitOffsets(r group.CommitRequest) ([]*kerr.Error, commitlog.LSN, error) {
	c.groups.Lock()
	defer c.groups.Unlock()
	record, results := c.groups.CommitOffsets(c.now(), r)
	if record == nil {
		return results, c.log.Enqueued(), nil
	}
	lsn, _, err := c.log.Commit(commitlog.Update{Records: records(groupMachineID, record)})
	return results, lsn, err
}

// FetchOffsets handles OffsetFetch for one group. The results may be told when the LSN is durable.
func (c *Coordinator) FetchOffsets(name string, partitions []group.Partition, requireStable bool) ([]group.Fetched, commitlog.LSN) {
	c.groups.Lock()
	defer c.groups.Unlock()
	return c.groups.FetchOffsets(name, partitions, requireStable), c.log.Enqueued()
}

// ForgetTopic drops the offsets of a topic that was deleted.
func (c *Coordinator) ForgetTopic(id commitlog.TopicID) error {
	c.groups.Lock()
	defer c.groups.Unlock()
	record := c.groups.ForgetTopic(id)
	if record == nil {
		return nil
	}
	_, _, err := c.log.Commit(commitlog.Update{Records: records(groupMachineID, record)})
	return err
}
