package sim

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/topology"
)

const application = "sim"

// The topics: in ─► count ─► out
//
//	└────► mid ─► sum ─► totals
//
// What a count refuses becomes a dead letter.
const (
	topicIn     = "in"
	topicOut    = "out"
	topicMid    = "mid"
	topicTotals = "totals"
	topicDead   = "dead"
)

// The stores of the two stages, one for each sub-topology.
const (
	storeCounts = "counts"
	storeSums   = "sums"
)

type counts = state.KeyValue[string, int64]

// newJob builds the application: each stage counts its keys, and what it forwards says which count it was and where the
// record stood, so that no two outputs are alike and every order tells.
func newJob() (*topology.Topology, error) {
	b := topology.NewBuilder()
	first := topology.AddStore[*counts](b, state.KeyValueSpec(storeCounts, serde.String, serde.Int64))
	in := topology.AddSource(b, "in", topicIn, serde.String, serde.String)
	counted := topology.AddProcessor(b, "count", func() *counter { return &counter{handle: first} }, in, first)
	topology.AddSink(b, "out", topicOut, serde.String, serde.String, counted)
	grouped := topology.AddProcessor(b, "group", func() *grouper { return &grouper{} }, in)
	topology.AddSink(b, "mid", topicMid, serde.String, serde.String, grouped)

	second := topology.AddStore[*counts](b, state.KeyValueSpec(storeSums, serde.String, serde.Int64))
	mid := topology.AddSource(b, "mid-in", topicMid, serde.String, serde.String)
	summed := topology.AddProcessor(b, "sum", func() *counter { return &counter{handle: second} }, mid, second)
	topology.AddSink(b, "totals", topicTotals, serde.String, serde.String, summed)
	return b.Build()
}

// counter counts keys.
type counter struct {
	ctx    *topology.Context[string, string]
	handle topology.Store[*counts]
	rows   *counts
}

func (c *counter) Init(ctx *topology.Context[string, string]) (err error) {
	c.ctx = ctx
	c.rows, err = c.handle.In(ctx)
	return err
}

func (c *counter) Process(r topology.Record[string, string]) error {
	if refused(r.Value) {
		return errRefused
	}
	n, _, _, err := c.rows.Get(r.Key)
	if err != nil {
		return err
	}
	if err := c.rows.Put(r.Key, n+1, r.Timestamp, serde.Headers{}); err != nil {
		return err
	}
	at := c.ctx.Metadata()
	c.ctx.Forward(topology.WithValue(r, countedValue(n+1, at.Partition, at.Offset)))
	return nil
}

func (c *counter) Close() error { return nil }

var errRefused = errors.New("refused")

// refused reports whether a value is counted nowhere.
func refused(value string) bool { return strings.HasSuffix(value, "7") }

func countedValue(n int64, partition int32, offset int64) string {
	return fmt.Sprintf("%d of %d@%d", n, partition, offset)
}

// grouper gives a record the key of its group.
type grouper struct {
	ctx *topology.Context[string, string]
}

func (g *grouper) Init(ctx *topology.Context[string, string]) error {
	g.ctx = ctx
	return nil
}

func (g *grouper) Process(r topology.Record[string, string]) error {
	at := g.ctx.Metadata()
	g.ctx.Forward(topology.NewRecord(groupOf(r.Key), sourceValue(at.Partition, at.Offset), r.Timestamp))
	return nil
}

func (g *grouper) Close() error { return nil }

func groupOf(key string) string { return "group-" + key[len(key)-1:] }

func sourceValue(partition int32, offset int64) string {
	return fmt.Sprintf("%d@%d", partition, offset)
}
