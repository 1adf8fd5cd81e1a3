package task

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

// Config is what a task runs and what it stands on.
type Config struct {
	// Topology must be valid, and Subtopology the number of one of its sub-topologies.
	Topology      *topology.Topology
	ApplicationID string
	Subtopology   int32
	Partition     int32

	// Output takes what sinks and changelogs write. Required.
	Output Output
	// Committed returns the committed layer of a store partition, restored. The task opens the typed store over it. Required
	// if the sub-topology has stores.
	Committed func(*state.Spec) (*state.Partition, error)
	// Globals are the stores of the global tables, by name. The task reads them, it neither flushes nor commits them.
	Globals map[string]state.GlobalLayer

	// Inputs are the input partitions that exist, of those that the sources' topics could have: of topics with fewer
	// partitions than the task's number there is none. nil: all.
	Inputs []Input
	// Start is what the last commit said about each input: records below Next are skipped, and event time does not fall
	// behind PartitionTime, nor behind Times in the operators. An input that never was committed is left out.
	Start []Progress
	// Now is the wall clock when the task is made: wall-clock punctuations fire one interval later.
	Now time.Time

	// MaxBuffered is the number of bytes of one input after which Wants says no. 0: 4 MiB.
	MaxBuffered int
	// MaxIdle is how long the task waits for an input that the log says is empty before it goes on with the others
	// (max.task.idle.ms). 0: not at all, but it waits for what the log is known to hold. Negative: it never waits.
	MaxIdle time.Duration

	// The three doors of failure (DESIGN D11); nil fails.
	Deserialization Handler // a record that could not be decoded, or whose extractor failed
	Processing      Handler // an error of a node, or a panic
	Production      Handler // a record that could not be encoded, or that the log does not take
	// DeadLetterTopic is where Failure.DeadLetter sends. Empty: nowhere.
	DeadLetterTopic string

	// Logger; nil is slog.Default(). Every dropped record is one line at Warn.
	Logger *slog.Logger
}

const defaultMaxBuffered = 4 << 20

func (c *Config) validate() error {
	var errs []error
	if c.Topology == nil {
		errs = append(errs, errors.New("task: no topology"))
	} else if _, ok := c.Topology.Subtopology(c.Subtopology); !ok {
		errs = append(errs, fmt.Errorf("task: the topology has no sub-topology %d", c.Subtopology))
	}
	if c.Output == nil {
		errs = append(errs, errors.New("task: no output"))
	}
	if c.Partition < 0 {
		errs = append(errs, fmt.Errorf("task: partition %d", c.Partition))
	}
	return errors.Join(errs...)
}
