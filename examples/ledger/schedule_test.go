package main

import (
	"io"
	"slices"
	"testing"
	"time"
)

func parse(t *testing.T, args ...string) *options {
	t.Helper()
	o, err := parseOptions(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A seed fixes the schedule, and it holds as many faults as were asked for, in the time that there is.
func TestSchedule(t *testing.T) {
	t.Parallel()
	args := []string{"-seed", "5", "-duration", "3m", "-kills", "100", "-broker-kills", "50", "-pauses", "20"}
	faults := newSchedule(parse(t, args...))
	if again := newSchedule(parse(t, args...)); !slices.Equal(faults, again) {
		t.Error("the same seed gives another schedule")
	}
	args[1] = "6"
	if other := newSchedule(parse(t, args...)); slices.Equal(faults, other) {
		t.Error("another seed gives the same schedule")
	}
	counts, inside := make(map[faultKind]int), 0
	for i, f := range faults {
		counts[f.Kind]++
		if f.At < warmUp || f.At > 3*time.Minute {
			t.Errorf("fault %d at %v", i, f.At)
		}
		if i > 0 && f.At < faults[i-1].At {
			t.Errorf("fault %d is before the one before", i)
		}
		if f.Kind == pauseOne && f.Pause <= 1500*time.Millisecond {
			t.Errorf("a pause of %v is not beyond the session time-out", f.Pause)
		}
		if f.Kind == killOne && slices.Contains(points[:transactional-1], f.Point) {
			inside++
		}
	}
	if counts[killOne]+counts[killYoung] != 100 || counts[killLog] != 50 || counts[pauseOne] != 20 {
		t.Errorf("faults %v", counts)
	}
	if inside < 60 {
		t.Errorf("%d of 100 kills are aimed into a transaction", inside)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-instances", "0"}, {"-duration", "1s"}, {"-rate", "1"}, {"x"}, {"-kills", "-1"},
	} {
		if _, err := parseOptions(args, io.Discard); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
	if o := parse(t, "-brokers", " a:1, b:2 ", "-broker-kills", "9"); !slices.Equal(o.brokers, []string{"a:1", "b:2"}) || o.brokerKills != 0 {
		t.Errorf("options %+v", o)
	}
}

// The same seed gives the same input, with every kind of hostile record in it.
func TestWorkload(t *testing.T) {
	t.Parallel()
	kinds := make(map[string]int)
	a, b := newWorkload(3, 1, 50, 0, 10), newWorkload(3, 1, 50, 0, 10)
	for range 5000 {
		x, y := a.next("", 0), b.next("", 0)
		if x.ID != y.ID || x.Timestamp != y.Timestamp || digestOf(x.Key, x.Value) != digestOf(y.Key, y.Value) {
			t.Fatalf("the same seed gives %+v and %+v", x, y)
		}
		kinds[x.Kind]++
	}
	for _, k := range append([]string{"transfer"}, hostile...) {
		if kinds[k] == 0 {
			t.Errorf("no input of kind %q", k)
		}
	}
}
