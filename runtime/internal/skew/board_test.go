package skew

import (
	"math"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
)

var start = time.Unix(1_700_000_000, 0)

func partition(n int32) client.TopicPartition {
	return client.TopicPartition{Topic: "in", Partition: n}
}

func newBoard() *Board { return New(100*time.Millisecond, 10*time.Second, start) }

func wantLimit(t *testing.T, b *Board, what string, worker int, own, want int64) {
	t.Helper()
	if got := b.Limit(worker, own); got != want {
		t.Errorf("%s: limit %d, want %d", what, got, want)
	}
}

// A2: the slowest decides, and may go on itself. A worker sees its own tasks as they are, not as they were published (A1).
func TestSlowestDecides(t *testing.T) {
	t.Parallel()
	b := newBoard()
	wantLimit(t, b, "before the group was looked at", 0, 5, Unknown)
	b.Observe(start, nil)
	wantLimit(t, b, "alone", 0, 5, 105)
	wantLimit(t, b, "without data", 0, None, math.MaxInt64)
	b.Publish(0, 1000)
	b.Publish(1, 2000)
	wantLimit(t, b, "the slow worker, which has gone on", 0, 1500, 1600)
	wantLimit(t, b, "the fast worker, to which it has not", 1, 2000, 1100)
	b.Publish(0, None)
	wantLimit(t, b, "the slow one is drained", 1, 2000, 2100)
	b.Publish(0, Unknown)
	wantLimit(t, b, "a task begins", 1, 2000, Unknown)
	wantLimit(t, b, "it may find out where", 0, 7, 107)
}

// Tasks elsewhere hold by what they have committed, if they have data.
func TestOthersHold(t *testing.T) {
	t.Parallel()
	b := newBoard()
	b.Observe(start, []Seen{
		{partition(0), 5, 700, 9},
		{partition(1), 9, 300, 9},   // drained
		{partition(2), -1, -1, 0},   // nothing there
		{partition(3), 5, 900, 100}, // faster
	})
	if b.Pressing() {
		t.Error("nobody has waited yet")
	}
	wantLimit(t, b, "by the slowest with data", 0, 2000, 800)
	if !b.Pressing() {
		t.Error("somebody waits")
	}
	if !b.Watching() {
		t.Error("nobody is waited for")
	}
	b.Observe(start, []Seen{{partition(0), -1, -1, 9}})
	wantLimit(t, b, "by one that has not begun", 0, 2000, Unknown)
	b.Observe(start, []Seen{{partition(0), 9, 700, 9}})
	wantLimit(t, b, "when it is drained", 0, 2000, 2100)
	if b.Watching() {
		t.Error("somebody is waited for")
	}
}

// A3: what nothing is heard of holds nobody for ever, and holds again when something is.
func TestDeadHoldNobody(t *testing.T) {
	t.Parallel()
	b := newBoard()
	dead := Seen{partition(0), 5, 700, 9}
	for at := time.Duration(0); at < 10*time.Second; at += time.Second {
		b.Observe(start.Add(at), []Seen{dead, {partition(1), int64(at), 800 + int64(at/time.Second), math.MaxInt64}})
		wantLimit(t, b, "for a while", 0, 2000, 800)
	}
	now := start.Add(10 * time.Second)
	b.Observe(now, []Seen{dead, {partition(1), int64(10 * time.Second), 810, math.MaxInt64}})
	wantLimit(t, b, "only who is alive", 0, 2000, 910)
	if !b.Watching() {
		t.Error("the dead may come back, and is not waited for")
	}
	dead.Next = 720
	b.Observe(now, []Seen{dead})
	wantLimit(t, b, "back from the dead", 0, 2000, 820)
}

// Between its end here and the next look at the group a task still holds.
func TestLeavingHolds(t *testing.T) {
	t.Parallel()
	b := newBoard()
	b.Observe(start, nil)
	b.Leave(start.Add(2), 700)
	wantLimit(t, b, "it left", 0, 2000, 800)
	b.Observe(start.Add(1), nil) // began to look before
	wantLimit(t, b, "it left, and nobody has looked", 0, 2000, 800)
	if !b.Pressing() {
		t.Error("nobody waits")
	}
	b.Observe(start.Add(3), []Seen{{partition(0), 5, 710, 9}})
	wantLimit(t, b, "it is seen elsewhere", 0, 2000, 810)
}

// Who cannot look at the group waits for a while, and then goes on alone.
func TestBlind(t *testing.T) {
	t.Parallel()
	b := newBoard()
	if b.Missed(start.Add(9 * time.Second)) {
		t.Error("too early")
	}
	wantLimit(t, b, "at first", 0, 5, Unknown)
	if !b.Missed(start.Add(10*time.Second)) || b.Missed(start.Add(11*time.Second)) {
		t.Error("it is said once")
	}
	wantLimit(t, b, "later", 0, 5, 105)
	b.Observe(start.Add(12*time.Second), []Seen{{partition(0), 0, 3, 1}})
	wantLimit(t, b, "when it sees again", 0, 50, 103)
	if b.Missed(start.Add(13 * time.Second)) {
		t.Error("too early")
	}
}

// A task that left does not hold the others for ever, although nobody sees where it went (A3).
func TestLeftAndNeverSeen(t *testing.T) {
	t.Parallel()
	b := newBoard()
	b.Observe(start, nil) // nobody else has data
	b.Leave(start.Add(time.Second), 700)
	wantLimit(t, b, "it left", 0, 2000, 800)
	if b.Missed(start.Add(9 * time.Second)) {
		t.Error("too early")
	}
	if !b.Missed(start.Add(10*time.Second)) || b.Missed(start.Add(11*time.Second)) {
		t.Error("it is said once")
	}
	wantLimit(t, b, "nobody saw where it went", 0, 2000, 2100)
}

// Of several tasks that left the slowest holds.
func TestSlowestOfThoseThatLeft(t *testing.T) {
	t.Parallel()
	b := newBoard()
	b.Observe(start, nil)
	b.Leave(start.Add(1), 700)
	b.Leave(start.Add(1), 900)
	wantLimit(t, b, "two left", 0, 2000, 800)
}

// Only tasks elsewhere that hold somebody are a reason to look at the group more often.
func TestWhoPresses(t *testing.T) {
	t.Parallel()
	b := newBoard()
	b.Observe(start, []Seen{{partition(0), 5, 700, 9}})
	b.Publish(1, 300)
	for _, wait := range []struct {
		what string
		own  int64
	}{{"held by a worker here", 2000}, {"as far as that worker", 300}} {
		wantLimit(t, b, wait.what, 0, wait.own, 400)
		if b.Pressing() {
			t.Errorf("%s: somebody waits for tasks elsewhere", wait.what)
		}
	}
	b.Publish(1, None)
	wantLimit(t, b, "as far as a task elsewhere", 0, 700, 800)
	if b.Pressing() {
		t.Error("the slowest waits")
	}
	wantLimit(t, b, "ahead of it", 0, 701, 800)
	wantLimit(t, b, "another worker, behind it", 1, 600, 700)
	if !b.Pressing() {
		t.Error("somebody waited, and that is forgotten")
	}
	b.Observe(start, nil)
	wantLimit(t, b, "when the group was looked at", 0, 2000, 2100)
	if b.Pressing() {
		t.Error("nobody waits any more")
	}
}

// Whatever moves of a task shows that it is alive: what it has committed, or what it has come to (A3). Zero is an event time like any other.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	for what, next := range map[string]Seen{
		"its offset": {partition(0), 1, 0, 9},
		"its time":   {partition(0), 0, 50, 9},
	} {
		b := newBoard()
		b.Observe(start, []Seen{{partition(0), 0, 0, 9}})
		wantLimit(t, b, "at first", 0, 2000, 100)
		now := start.Add(10 * time.Second)
		b.Observe(now, []Seen{next})
		wantLimit(t, b, what+" has moved", 0, 2000, next.Next+100)
		b.Observe(now.Add(9*time.Second), []Seen{next})
		wantLimit(t, b, what+" has moved, not long ago", 0, 2000, next.Next+100)
		b.Observe(now.Add(10*time.Second), []Seen{next})
		wantLimit(t, b, what+" has not moved for long", 0, 2000, 2100)
	}
}
