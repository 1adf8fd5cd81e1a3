package coordinator

import (
	"sync"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

// accessMachine is users and access control lists, and their lock.
type accessMachine struct {
	sync.Mutex
	*access.State // guarded, but for Rules
}

// Rules returns the access rules at this moment. Nothing is locked.
func (c *Coordinator) Rules() *access.Rules { return c.access.Rules() }

// Credential returns what is kept of a user for a SCRAM mechanism.
func (c *Coordinator) Credential(user string, m access.Mechanism) (access.Credential, bool) {
	c.access.Lock()
	defer c.access.Unlock()
	return c.access.Credential(user, m)
}

// ReadAccess calls look with the users and bindings, which it must neither change nor keep. What it saw may be told when the LSN is durable.
func (c *Coordinator) ReadAccess(look func(*access.State)) commitlog.LSN {
	c.access.Lock()
	defer c.access.Unlock()
	look(c.access.State)
	return c.log.Enqueued()
}

// ChangeAccess makes the records durable that decide returns: all of them, as one entry. They are in force when it returns, and may be
// told of when the LSN is durable.
func (c *Coordinator) ChangeAccess(decide func(*access.State) [][]byte) (commitlog.LSN, error) {
	c.access.Lock()
	defer c.access.Unlock()
	changes := decide(c.access.State)
	if len(changes) == 0 {
		return c.log.Enqueued(), nil
	}
	lsn, _, err := c.log.Commit(commitlog.Update{Records: records(accessMachineID, changes...)})
	c.access.Refresh()
	return lsn, err
}
