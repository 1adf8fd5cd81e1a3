package coordinator

import (
	"errors"
	"time"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// alarm is when a machine's timer goroutine wakes up next.
type alarm struct {
	at    time.Time     // guarded by the machine's lock; zero: not before it is nudged
	nudge chan struct{} // one slot: at has become earlier
}

func newAlarm() alarm { return alarm{nudge: make(chan struct{}, 1)} }

// set makes the goroutine wake by at, if ok. The caller holds the machine's lock.
func (a *alarm) set(at time.Time, ok bool) {
	if !ok || (!a.at.IsZero() && !at.Before(a.at)) {
		return
	}
	a.at = at
	select {
	case a.nudge <- struct{}{}:
	default: // it is told already
	}
}

// run is the timer goroutine of one machine. tick lets pass what is due, and returns when it has to be called next.
func (c *Coordinator) run(a *alarm, tick func() (time.Time, bool)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.closing:
			return
		case <-a.nudge:
		case <-timer.C:
		}
		if next, ok := tick(); ok {
			timer.Reset(max(next.Sub(c.now()), time.Millisecond))
		} else {
			timer.Stop()
		}
	}
}

// RetainOffsets begins to look, every interval, for offsets that nobody has used for the retention, and for groups that have nothing left.
// It ends with Close.
func (c *Coordinator) RetainOffsets(retention, interval time.Duration) {
	c.wg.Go(func() { c.every(interval, "expiry of offsets", func() error { return c.expireOffsets(retention) }) })
}

// every calls f each interval, until Close or the end of the log.
func (c *Coordinator) every(interval time.Duration, what string, f func() error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-c.closing:
			return
		case <-ticker.C:
		}
		if err := f(); err != nil {
			c.logger.Error(what, "err", err)
			if ended(err) {
				return
			}
		}
	}
}

// idExpiryInterval is how often it is looked for transactional ids that nobody uses
// (transaction.remove.expired.transaction.cleanup.interval.ms).
const idExpiryInterval = time.Hour

// expireIDs forgets them. It is decided here, by the clock, and stands in the journal.
func (c *Coordinator) expireIDs() error {
	for more := true; more; {
		var err error
		if more, err = c.expireSomeIDs(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Coordinator) expireSomeIDs() (more bool, err error) {
	c.txns.Lock()
	defer c.txns.Unlock()
	expired, more := c.txns.Expire(c.now(), txn.IDExpiry)
	if len(expired) == 0 {
		return false, nil
	}
	if _, err := c.commitTxn(txn.Effects{Records: expired}); err != nil {
		return false, err
	}
	c.logger.Info("transactional ids expired", "ids", len(expired))
	return more, nil
}

// retryPause is after how long a timer tries again what the log did not take.
const retryPause = time.Second

// ended reports whether the log takes nothing any more: there is nothing more to do for a timer. Whatever else a commit fails with
// concerns that entry alone.
func ended(err error) bool {
	return errors.Is(err, commitlog.ErrStopped) || errors.Is(err, commitlog.ErrClosed)
}

// expireOffsets drops what is due. It is decided here, by the clock, and stands in the journal.
func (c *Coordinator) expireOffsets(retention time.Duration) error {
	c.groups.Lock()
	defer c.groups.Unlock()
	expired := c.groups.ExpireOffsets(c.now(), retention, func(id group.TopicID) (string, bool) {
		t, ok := c.log.TopicByID(id)
		return t.Name, ok
	})
	if len(expired) == 0 {
		return nil
	}
	if _, _, err := c.log.Commit(commitlog.Update{Records: records(groupMachineID, expired...)}); err != nil {
		return err
	}
	c.logger.Info("group offsets expired", "records", len(expired))
	return nil
}

func (c *Coordinator) tickTxns() (time.Time, bool) {
	c.txns.Lock()
	defer c.txns.Unlock()
	e := c.txns.Tick(c.now())
	for _, end := range e.Ends {
		c.logger.Info("transaction timed out, aborting", "producer_id", end.Producer.ID, "epoch", end.Producer.Epoch)
	}
	if _, err := c.commitTxn(e); err != nil {
		c.logger.Error("abort of timed-out transactions", "err", err)
		return c.retry(&c.txns.alarm, err)
	}
	next, ok := c.txns.Next()
	c.txns.alarm.at = next
	return next, ok
}

func (c *Coordinator) tickGroups() (time.Time, bool) {
	c.groups.Lock()
	defer c.groups.Unlock()
	if err := c.performLocked(c.groups.Tick(c.now(), c.topics())); err != nil {
		c.logger.Error("expiry of group members", "err", err)
		return c.retry(&c.groups.alarm, err)
	}
	next, ok := c.groups.Next()
	c.groups.alarm.at = next
	return next, ok
}

// retry returns when a tick that failed is tried again, if ever. The machine's lock is held.
func (c *Coordinator) retry(a *alarm, err error) (time.Time, bool) {
	if ended(err) {
		return time.Time{}, false
	}
	a.at = c.now().Add(retryPause)
	return a.at, true
}
