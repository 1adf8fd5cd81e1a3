package main

import (
	"cmp"
	"encoding/json"
	"io"
	goruntime "runtime"
	"runtime/debug"
	"time"
)

// report is what a run did and found: one line of JSON. Counts are sums over the segments.
type report struct {
	Seed     uint64  `json:"seed"`
	Log      string  `json:"log"`
	Go       string  `json:"go"`
	Commit   string  `json:"commit,omitempty"` // that it was built from, as far as the build says
	Seconds  float64 `json:"seconds"`
	Segments int     `json:"segments"`

	Records struct {
		Acked   int `json:"acked"`
		Unknown int `json:"unknown"`
		Refused int `json:"refused"`
		Visible int `json:"visible"` // committed, over all topics
		Aborted int `json:"aborted"`
	} `json:"records"`
	Hostile      map[string]int `json:"hostile"`
	DeadLetters  map[string]int `json:"deadLetters"` // by reason: what became of hostile records that are no transfers
	Transactions struct {
		Committed int `json:"committed"` // of instances and drivers, counted by the markers of each partition
		Aborted   int `json:"aborted"`
		Driver    struct {
			Committed int `json:"committed"`
			Aborted   int `json:"aborted"`
			Unclear   int `json:"unclear"`
			// What the log says of those that nobody knew the end of.
			Resolved struct {
				Committed int `json:"committed"`
				Aborted   int `json:"aborted"`
			} `json:"unclearResolved"`
		} `json:"driver"`
	} `json:"transactions"`

	Kills       faultCount     `json:"kills"`
	BrokerKills faultCount     `json:"brokerKills"`
	Pauses      faultCount     `json:"pauses"`
	Cuts        int            `json:"cuts"`
	CutsByPoint map[string]int `json:"cutsByPoint"`
	Joins       int            `json:"joins"`
	Leaves      int            `json:"leaves"`
	Rebalances  int            `json:"joinRequests"` // of the instances, at rebalances
	Restores    Restores       `json:"restores"`
	Promotions  int            `json:"promotions"`
	SlowestUp   float64        `json:"slowestCatchUpSeconds"`
	MaxRSS      int64          `json:"maxRSSBytes"` // of any process

	Checked    map[string]int `json:"checked"` // by oracle
	Violations map[string]int `json:"violations"`
	First      []violation    `json:"first,omitempty"`
	Kept       string         `json:"kept,omitempty"` // directory, after a violation
}

// faultCount counts faults of a kind by the phase of the transactions that they met, and by the point that they were done at.
type faultCount struct {
	Total   int            `json:"total"`
	Open    int            `json:"transactionOpen"`
	ByPhase map[string]int `json:"byPhase"`
	ByPoint map[string]int `json:"byPoint"`
}

// anywhere is the point of faults that were aimed at none, or missed theirs.
const anywhere point = "anywhere"

func (c *faultCount) add(p phase, at point) {
	if c.ByPhase == nil {
		c.ByPhase, c.ByPoint = make(map[string]int), make(map[string]int)
	}
	c.Total++
	c.ByPhase[p.String()]++
	c.ByPoint[string(cmp.Or(at, anywhere))]++
	if p.open() {
		c.Open++
	}
}

// few is the number of faults below which chance alone decides what they meet; with many of them, instances join and leave too.
const few, many = 8, 40

// holds wants the faults that were asked for to have landed, and at least half of the kills to have met an open transaction: a
// run that has hurt nobody has shown nothing.
func (r *report) holds(o *options) *verdict {
	v := newVerdict()
	asked := 0
	for _, f := range []struct {
		name        string
		asked, done int
	}{
		{"kills", o.kills, r.Kills.Total}, {"broker-kills", o.brokerKills, r.BrokerKills.Total},
		{"pauses", o.pauses, r.Pauses.Total}, {"cuts", o.cuts, r.Cuts},
	} {
		v.Checked[oracleFaults]++
		asked += f.asked
		if want := f.asked * r.Segments; f.done < want {
			v.add(oracleFaults, f.name, "%d were asked for in %d segments, %d landed", want, r.Segments, f.done)
		}
	}
	if o.instances > 1 && asked >= many {
		v.Checked[oracleFaults]++
		if r.Joins == 0 || r.Leaves == 0 {
			v.add(oracleFaults, "joins and leaves", "%d and %d, among %d other faults", r.Joins, r.Leaves, asked)
		}
	}
	for _, f := range []struct {
		name string
		faultCount
	}{{"kills", r.Kills}, {"broker-kills", r.BrokerKills}} {
		v.Checked[oracleFaults]++
		if f.Total >= few && 2*f.Open < f.Total {
			v.add(oracleFaults, f.name, "%d of %d met an open transaction: want half of them at least; by phase %v", f.Open, f.Total, f.ByPhase)
		}
	}
	return v
}

func newReport(o *options) *report {
	r := &report{Seed: o.seed, Log: "millrace", Go: goruntime.Version(), Hostile: make(map[string]int), DeadLetters: make(map[string]int),
		CutsByPoint: make(map[string]int), Checked: make(map[string]int), Violations: make(map[string]int)}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, x := range info.Settings {
			if x.Key == "vcs.revision" {
				r.Commit = x.Value
			}
		}
	}
	if len(o.brokers) > 0 || o.kafkaDir != "" {
		r.Log = "kafka"
	}
	return r
}

// book adds what a segment's history and verdict say.
func (r *report) book(h *history, v *verdict) {
	r.Segments++
	seen := h.batchesSeen()
	for _, s := range h.journal {
		switch s.Outcome {
		case sent:
			if s.Kind != "transfer" {
				r.Hostile[s.Kind]++
			}
		case acked:
			r.Records.Acked++
		case lost:
			r.Records.Unknown++
		case refused:
			r.Records.Refused++
		case committed:
			r.Transactions.Driver.Committed++
		case aborted:
			r.Transactions.Driver.Aborted++
		case unclear:
			r.Transactions.Driver.Unclear++
			if seen[s.Batch] > 0 {
				r.Transactions.Driver.Resolved.Committed++
			} else {
				r.Transactions.Driver.Resolved.Aborted++
			}
		}
	}
	for _, records := range h.visible[h.names.dead()] {
		for _, x := range records {
			var d deadLetter
			if json.Unmarshal(x.Value, &d) == nil { // what is none is a violation already
				r.DeadLetters[d.Reason]++
			}
		}
	}
	for topic, partitions := range h.log {
		for p, records := range partitions {
			all := 0
			for _, x := range records {
				switch {
				case !x.Control:
					all++
				case x.Commit:
					r.Transactions.Committed++
				default:
					r.Transactions.Aborted++
				}
			}
			r.Records.Visible += len(h.visible[topic][p])
			r.Records.Aborted += all - len(h.visible[topic][p])
		}
	}
	r.found(v)
}

// found adds what a verdict says.
func (r *report) found(v *verdict) {
	for oracle, n := range v.Checked {
		r.Checked[oracle] += n
	}
	for oracle, n := range v.Counts {
		r.Violations[oracle] += n
	}
	r.First = append(r.First, v.First...)
}

func (r *report) write(w io.Writer, took time.Duration) error {
	r.Seconds = took.Seconds()
	return json.NewEncoder(w).Encode(r)
}

func (r *report) violated() bool { return len(r.Violations) > 0 }
