package coordinator

import (
	"fmt"

	"github.com/millrace-io/millrace/broker/internal/access"
	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/inspect"
	"github.com/millrace-io/millrace/broker/internal/txn"
)

// Describe says what a machine's record means.
func Describe(id commitlog.MachineID, record []byte) (inspect.Item, error) {
	switch id {
	case txnMachineID:
		return txn.Describe(record)
	case groupMachineID:
		return group.Describe(record)
	case accessMachineID:
		return access.Describe(record)
	}
	return inspect.Item{}, fmt.Errorf("machine %d is not known", id)
}
