package topologytest

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/task"
)

// Failure is what a handler decides about: the node, the record and the error.
type Failure = task.Failure

// Response is what a handler answers.
type Response = task.Response

// The responses.
const (
	Fail     = task.Fail     // the pipe fails, and so does everything after it
	Continue = task.Continue // the record is dropped at the node that failed, and counted
	Retry    = task.Retry    // as Fail: nothing passes by itself here
)

// Handler decides about a failure.
type Handler = task.Handler

// LogAndContinue goes on, and sends the record to the topic of DeadLetters.
func LogAndContinue(f Failure) Response { return task.LogAndContinue(f) }

// LogAndFail fails, and sends the record to the topic of DeadLetters before.
func LogAndFail(f Failure) Response { return task.LogAndFail(f) }

// Option configures a Driver.
type Option func(*config)

type config struct {
	applicationID string
	start         time.Time
	manual        bool
	maxIdle       time.Duration
	handlers      struct{ deserialization, processing, global, production Handler }
	deadLetters   string
	partitions    int32            // of topics that byTopic does not name
	byTopic       map[string]int32 // by name
	topics        []string         // for patterns to match
	trace         *tracer
	logger        *slog.Logger
}

// ApplicationID sets the application id, which internal topics begin with. The default is "app".
func ApplicationID(id string) Option { return func(c *config) { c.applicationID = id } }

// StartAt sets the wall clock at the start. The default is the Unix epoch.
func StartAt(t time.Time) Option { return func(c *config) { c.start = t } }

// Partitions gives topics n partitions each; without topics, all that are not named. The default is 1. There is a task for each partition then,
// internal topics get as many partitions as in the runtime, and sinks choose partitions. It panics unless n is positive.
func Partitions(n int32, topics ...string) Option {
	if n < 1 {
		panic(fmt.Sprintf("topologytest: %d partitions", n))
	}
	return func(c *config) {
		if len(topics) == 0 {
			c.partitions = n
		}
		for _, topic := range topics {
			if c.byTopic == nil {
				c.byTopic = map[string]int32{}
			}
			c.byTopic[topic] = n
		}
	}
}

// Topics says which topics there are beside those that the topology names: the patterns of its sources are matched with them, and with the
// topics that Partitions names.
func Topics(names ...string) Option {
	return func(c *config) { c.topics = append(c.topics, names...) }
}

func (c *config) partitionsOf(topic string) int32 {
	if n, ok := c.byTopic[topic]; ok {
		return n
	}
	return c.partitions
}

// ManualCommit makes the driver commit only when Commit is called, instead of after every record.
func ManualCommit() Option { return func(c *config) { c.manual = true } }

// Trace writes to w how each record passes through the graph: what is piped, the nodes that it comes to with the record that each gets, what is
// written, and what a commit sends on. It slows the driver down.
func Trace(w io.Writer) Option { return func(c *config) { c.trace = &tracer{w: w} } }

// MaxIdle is how long a task waits for an empty input while others have records (max.task.idle.ms); what is piped meanwhile
// waits for AdvanceWallClock. The default is not at all.
func MaxIdle(d time.Duration) Option { return func(c *config) { c.maxIdle = d } }

// OnDeserialization decides about records that cannot be decoded. Without it they fail the pipe.
func OnDeserialization(h Handler) Option {
	return func(c *config) { c.handlers.deserialization = h }
}

// OnProcessing decides about errors and panics of nodes. Without it they fail the pipe.
func OnProcessing(h Handler) Option { return func(c *config) { c.handlers.processing = h } }

// OnGlobalProcessing decides about errors and panics of the processors that fill global stores. Without it they fail the pipe.
func OnGlobalProcessing(h Handler) Option { return func(c *config) { c.handlers.global = h } }

// OnProduction decides about records that cannot be encoded. Without it they fail the pipe.
func OnProduction(h Handler) Option { return func(c *config) { c.handlers.production = h } }

// DeadLetters is the topic that Failure.DeadLetter sends to (errors.dead.letter.queue.topic.name). Without it that sends nothing.
func DeadLetters(topic string) Option { return func(c *config) { c.deadLetters = topic } }

// Logger takes the log lines of dropped records. The default discards them.
func Logger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }
