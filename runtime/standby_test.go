package runtime_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/client"
)

// restoreLog sums up what an instance restores.
type restoreLog struct {
	mu       sync.Mutex
	next     map[client.TopicPartition]int64 // of changelogs, of standbys
	copied   int64                           // records, into standbys
	restored int64                           // records, into tasks
	promoted int                             // standbys that became tasks
}

func (r *restoreLog) listen(e runtime.RestoreEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = make(map[client.TopicPartition]int64)
	}
	switch {
	case e.Standby && e.Kind == runtime.RestoreSuspended:
		r.copied += e.Records
		if e.Promoted {
			r.promoted++
		}
		delete(r.next, e.Changelog)
	case e.Standby:
		r.next[e.Changelog] = e.Next
	case e.Kind == runtime.RestoreEnded || e.Kind == runtime.RestoreSuspended:
		r.restored += e.Records
	}
}

// sums returns records copied by standbys that ended, records restored by tasks, and how many standbys became tasks.
func (r *restoreLog) sums() (copied, restored int64, promoted int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.copied, r.restored, r.promoted
}

// current reports whether copies of so many changelog partitions are kept, and all are at their ends.
func (r *restoreLog) current(t *testing.T, l *testLog, partitions int) bool {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.next) != partitions {
		return false
	}
	var tps []client.TopicPartition
	for tp := range r.next {
		tps = append(tps, tp)
	}
	ends, err := l.client.ListOffsets(t.Context(), client.HighWatermark, tps)
	if err != nil {
		t.Fatal(err)
	}
	return !slices.ContainsFunc(tps, func(tp client.TopicPartition) bool { return r.next[tp] < ends[tp] })
}

// The tasks of a killed instance go on where their standbys are, which have the state: nothing is restored, and every record counts
// once.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	l := openLog(t, true)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 2000, 2, 0))
	first := childJob{Names: n, Brokers: l.brokers, StateDir: t.TempDir(), Workers: 1, Timeout: takeOver(), Standbys: 1}.start(t)
	eventually(t, 60*time.Second, "the first instance works", func() bool { return l.drained(t, n.App, n.inputs()...) })
	var log restoreLog
	second := l.start(t, top, runtime.Config{
		ApplicationID: n.App, StateDir: t.TempDir(), Workers: 1, SessionTimeout: takeOver(), TransactionTimeout: takeOver(),
		NumStandbyReplicas: 1, RestoreListener: log.listen,
	})
	// Four tasks; each instance runs two and keeps copies of the other two.
	eventually(t, 60*time.Second, "the tasks are shared", func() bool {
		s := second.Stats()
		return s.State == runtime.Running && len(s.Tasks) == 2 && len(s.Standbys) == 2
	})
	l.write(t, n.In, jobInput(2, 2000, 2, 40_000))
	eventually(t, 60*time.Second, "all is processed and copied", func() bool {
		return l.drained(t, n.App, n.inputs()...) && log.current(t, l, 2)
	})
	_, before, moved := log.sums()
	first.kill(t)
	killed := time.Now()
	l.write(t, n.In, jobInput(3, 500, 2, 80_000))
	eventually(t, 60*time.Second, "the second has taken over", func() bool { return l.drained(t, n.App, n.inputs()...) })
	t.Logf("taken over, and 500 records processed, %v after the kill (time-out %v)", time.Since(killed).Round(time.Millisecond), takeOver())
	if _, after, promoted := log.sums(); after != before || promoted != moved+2 {
		t.Errorf("%d records were restored for the tasks that were taken over, %d copies became tasks, want 0 and 2", after-before, promoted-moved)
	}
	if s := second.Stats(); len(s.Tasks) != 4 || len(s.Standbys) != 0 {
		t.Errorf("tasks %v, standbys %v", s.Tasks, s.Standbys)
	}
	if err := second.stop(); err != nil {
		t.Error(err)
	}
	n.check(t, l)
}

// A new instance gets the states of its tasks ready before it gets the tasks: they run where they were until then.
func TestWarmUpsMove(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	n := newJob(t, l, 2)
	top, err := n.topology()
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, n.In, jobInput(1, 3000, 2, 0))
	var log restoreLog
	start := func(log *restoreLog) *running {
		return l.start(t, top, runtime.Config{
			ApplicationID: n.App, StateDir: t.TempDir(), Workers: 1, AcceptableRecoveryLag: 1, RestoreListener: log.listen,
		})
	}
	first := start(new(restoreLog))
	eventually(t, 60*time.Second, "the first instance works", func() bool { return l.drained(t, n.App, n.inputs()...) })
	second := start(&log)
	// The rebalance that moves them comes when they are ready, not with the probe every 10 minutes.
	eventually(t, 60*time.Second, "the tasks are shared", func() bool {
		a, b := first.Stats(), second.Stats()
		return a.State == runtime.Running && b.State == runtime.Running && len(a.Tasks) == 2 && len(b.Tasks) == 2 && len(b.Standbys) == 0
	})
	if copied, restored, promoted := log.sums(); copied == 0 || restored > 0 || promoted != 2 {
		t.Errorf("%d records were copied before the tasks moved, %d restored after, %d copies became tasks", copied, restored, promoted)
	}
	l.write(t, n.In, jobInput(2, 1000, 2, 60_000))
	eventually(t, 60*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	for _, app := range []*running{first, second} {
		if err := app.stop(); err != nil {
			t.Error(err)
		}
	}
	n.check(t, l)
}
