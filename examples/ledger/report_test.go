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
			r.Kills.add([]phase{idle, offsets}[i%2])
		}
		for range 16 {
			r.BrokerKills.add(ending)
		}
		for range 4 {
			r.Pauses.add(ended)
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
