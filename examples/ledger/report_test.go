package main

import (
	"strings"
	"testing"
)

// A run in which too little happened fails, whatever the oracles say.
func TestReportWantsItsFaults(t *testing.T) {
	t.Parallel()
	o := parse(t, "-kills", "10", "-broker-kills", "8", "-pauses", "2", "-cuts", "20")
	good := func() *report {
		r := newReport(o)
		r.Segments = 2
		for i := range 20 {
			r.Kills.add([]phase{idle, offsets}[i%2], "")
		}
		for range 16 {
			r.BrokerKills.add(ending, point(ending.String()))
		}
		for range 4 {
			r.Pauses.add(ended, inside)
		}
		r.Cuts, r.Joins, r.Leaves = 40, 1, 1
		return r
	}
	if v := good().holds(o); v.total() > 0 || v.Checked[oracleFaults] != 7 {
		t.Errorf("a good report: %v", v.First)
	}
	for _, c := range []struct {
		spoil func(r *report)
		where string
	}{
		{func(r *report) { r.Segments = 3 }, "kills broker-kills pauses cuts"},
		{func(r *report) { r.Kills.Total-- }, "kills"},
		{func(r *report) { r.Kills.Open-- }, "kills"},
		{func(r *report) { r.BrokerKills.Open = 7 }, "broker-kills"},
		{func(r *report) { r.Pauses.Total-- }, "pauses"},
		{func(r *report) { r.Cuts-- }, "cuts"},
		{func(r *report) { r.Leaves = 0 }, "joins and leaves"},
	} {
		r := good()
		c.spoil(r)
		var where []string
		for _, x := range r.holds(o).First {
			where = append(where, x.Where)
		}
		if got := strings.Join(where, " "); got != c.where {
			t.Errorf("violations of %q, want %q", got, c.where)
		}
	}
}

// What the log says of a history stands in the report: what became of batches of which nobody knew the end, and of what is no transfer.
func TestReportTellsOutcomes(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.see()
	h.end("batch-1", unclear)
	r := newReport(parse(t))
	r.book(h, newVerdict())
	if d := r.Transactions.Driver; d.Committed != 149 || d.Unclear != 1 || d.Resolved.Committed != 1 || d.Resolved.Aborted != 0 {
		t.Errorf("a batch of unclear end that can be seen: %+v", d)
	}
	letters, hostile := 0, 0
	for _, n := range r.DeadLetters {
		letters += n
	}
	for _, n := range r.Hostile {
		hostile += n
	}
	if letters != len(h.visible[h.names.dead()][0]) || letters == 0 || letters > hostile || len(r.DeadLetters) < 3 {
		t.Errorf("dead letters %v of hostile records %v", r.DeadLetters, r.Hostile)
	}

	h.visible[h.names.transfers()] = [][]record{nil}
	r = newReport(parse(t))
	r.book(h, newVerdict())
	if d := r.Transactions.Driver; d.Unclear != 1 || d.Resolved.Committed != 0 || d.Resolved.Aborted != 1 {
		t.Errorf("a batch of unclear end that cannot be seen: %+v", d)
	}
}

// A fault is counted by the phase that it met, and by its point, if it was done at one.
func TestFaultsByPoint(t *testing.T) {
	t.Parallel()
	var c faultCount
	c.add(ending, point(ending.String()))
	c.add(idle, joining)
	c.add(offered, "")
	if c.Total != 3 || c.Open != 2 || c.ByPhase["ending"] != 1 || c.ByPoint["ending"] != 1 || c.ByPoint["joining"] != 1 || c.ByPoint["anywhere"] != 1 {
		t.Errorf("%+v", c)
	}
}
