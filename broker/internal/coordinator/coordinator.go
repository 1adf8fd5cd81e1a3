package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// The machines' ids on disk, in lock order (C1).
const (
	txnMachineID    commitlog.MachineID = 1
	groupMachineID  commitlog.MachineID = 2
	accessMachineID commitlog.MachineID = 3
)

// ErrClosing ends the waits of parked calls when the coordinator closes. Their clients are told to ask again.
var ErrClosing = errors.New("coordinator is closing")

// Coordinator serves groups and transactions. New makes one; its machines are passed to the log, then Start begins.
type Coordinator struct {
	now     func() time.Time
	logger  *slog.Logger
	log     *commitlog.Log // set by Start
	txns    txnMachine
	groups  groupMachine
	access  accessMachine
	closing chan struct{}
	wg      sync.WaitGroup
}

// txnMachine is the transaction core and its lock.
type txnMachine struct {
	sync.Mutex
	*txn.Coordinator // guarded
	alarm            alarm
}

// groupMachine is the group core, its lock, and who waits for it.
type groupMachine struct {
	sync.Mutex
	*group.Coordinator // guarded
	alarm              alarm
	calls              map[group.Call]chan<- answer // guarded; each has room for its one answer
	lastCall           group.Call                   // guarded
}

// New returns a coordinator with empty machines.
func New(now func() time.Time, groups group.Config, logger *slog.Logger) *Coordinator {
	c := &Coordinator{now: now, logger: logger, closing: make(chan struct{})}
	c.txns.Coordinator, c.txns.alarm = txn.New(), newAlarm()
	c.groups.Coordinator, c.groups.alarm = group.New(groups), newAlarm()
	c.groups.calls = make(map[group.Call]chan<- answer)
	c.access.State = access.New()
	return c
}

// Machines returns what the log replays into.
func (c *Coordinator) Machines() map[commitlog.MachineID]commitlog.Machine {
	return map[commitlog.MachineID]commitlog.Machine{txnMachineID: &c.txns, groupMachineID: &c.groups, accessMachineID: &c.access}
}

// Start begins to serve, on a log that was opened with Machines.
func (c *Coordinator) Start(log *commitlog.Log) {
	c.log = log
	c.txns.Lock()
	c.txns.Recovered(c.now())
	c.txns.Unlock()
	c.groups.Lock()
	c.groups.Recovered(c.now())
	c.groups.Unlock()
	c.access.Lock()
	c.access.Refresh()
	c.access.Unlock()
	c.wg.Go(func() { c.run(&c.txns.alarm, c.tickTxns) })
	c.wg.Go(func() { c.run(&c.groups.alarm, c.tickGroups) })
	c.wg.Go(func() { c.every(idExpiryInterval, "expiry of transactional ids", c.expireIDs) })
}

// Close ends all waits with ErrClosing, stops the timers and waits for them. The log must be open still.
func (c *Coordinator) Close() {
	close(c.closing)
	c.wg.Wait()
}

// Wait waits until lsn is durable.
func (c *Coordinator) Wait(ctx context.Context, lsn commitlog.LSN) error { return c.log.Wait(ctx, lsn) }

func records(id commitlog.MachineID, data ...[]byte) []commitlog.Record {
	out := make([]commitlog.Record, 0, len(data))
	for _, d := range data {
		if d != nil {
			out = append(out, commitlog.Record{Machine: id, Data: d})
		}
	}
	return out
}
