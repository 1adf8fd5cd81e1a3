package coordinator

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// DescribeGroup returns a classic group; ok is false if there is none. It may be told when the LSN is durable, here and below.
func (c *Coordinator) DescribeGroup(name string) (d group.Description, ok bool, lsn commitlog.LSN) {
	c.groups.Lock()
	defer c.groups.Unlock()
	d, ok = c.groups.Describe(name)
	return d, ok, c.log.Enqueued()
}

// ListGroups returns the groups in one of the states and of one of the types; none ask for all.
func (c *Coordinator) ListGroups(states, types []string) ([]group.Description, commitlog.LSN) {
	c.groups.Lock()
	defer c.groups.Unlock()
	return c.groups.List(states, types), c.log.Enqueued()
}

// DeleteGroup handles DeleteGroups for one group.
func (c *Coordinator) DeleteGroup(name string) (*kerr.Error, commitlog.LSN, error) {
	c.groups.Lock()
	defer c.groups.Unlock()
	record, kerror := c.groups.Delete(name)
	lsn, err := c.commitGroupLocked(record)
	return kerror, lsn, err
}

// DeleteOffsets handles OffsetDelete.
func (c *Coordinator) DeleteOffsets(name string, partitions []group.NamedPartition) (results []*kerr.Error, groupErr *kerr.Error, lsn commitlog.LSN, err error) {
	c.groups.Lock()
	defer c.groups.Unlock()
	record, results, groupErr := c.groups.DeleteOffsets(name, partitions)
	lsn, err = c.commitGroupLocked(record)
	return results, groupErr, lsn, err
}

// commitGroupLocked makes a record of the groups durable, unless it is nil.
func (c *Coordinator) commitGroupLocked(record []byte) (commitlog.LSN, error) {
	if record == nil {
		return c.log.Enqueued(), nil
	}
	lsn, _, err := c.log.Commit(commitlog.Update{Records: records(groupMachineID, record)})
	return lsn, err
}

// DescribeTransaction returns the state of a transactional id; ok is false if it is not known.
func (c *Coordinator) DescribeTransaction(id string) (d txn.Description, ok bool, lsn commitlog.LSN) {
	c.txns.Lock()
	defer c.txns.Unlock()
	d, ok = c.txns.Describe(id)
	return d, ok, c.log.Enqueued()
}

// Transactions returns the state of every transactional id, by id, and the time in milliseconds.
func (c *Coordinator) Transactions() (all []txn.Description, now int64, lsn commitlog.LSN) {
	c.txns.Lock()
	defer c.txns.Unlock()
	return c.txns.All(), c.now().UnixMilli(), c.log.Enqueued()
}
