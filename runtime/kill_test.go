package runtime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime"
)

// childEnv holds, in a child process of a test, what it is to run.
const childEnv = "MILLRACE_TEST_CHILD"

// childJob is what a child runs: the job, until it is killed or told to stop.
type childJob struct {
	Names    jobNames
	Brokers  []string
	StateDir string
	Workers  int
	// Timeout, if set, is that of the session and of transactions: how long a take-over takes.
	Timeout   time.Duration
	Guarantee runtime.Guarantee
	// Standbys is how many copies of each state are kept.
	Standbys int
	// Eager writes state to the disk at each commit.
	Eager bool
}

func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	var job childJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if err := job.run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (j childJob) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := os.Stdout.Close(); err != nil { // which says that the signal is heeded from here on
		return err
	}
	top, err := j.Names.topology()
	if err != nil {
		return err
	}
	cfg := runtime.Config{
		ApplicationID:      j.Names.App,
		StateDir:           j.StateDir,
		Brokers:            j.Brokers,
		Workers:            j.Workers,
		Guarantee:          j.Guarantee,
		SessionTimeout:     j.Timeout,
		TransactionTimeout: j.Timeout,
		NumStandbyReplicas: j.Standbys,
		Logger:             slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if j.Eager {
		cfg = runtime.WriteStateAtOnce(cfg)
	}
	app, err := runtime.New(top, cfg)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// child is a process that runs a job.
type child struct {
	cmd *exec.Cmd
	log *bytes.Buffer
}

// start returns when the child can be stopped.
func (j childJob) start(t *testing.T) *child {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(os.Args[0]), log: new(bytes.Buffer)}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	c.cmd.Stderr = c.log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("child %d:\n%s", c.cmd.Process.Pid, c.log)
		}
	})
	if said, err := io.ReadAll(out); err != nil || len(said) > 0 {
		t.Fatalf("the child begins with %q, %v", said, err)
	}
	return c
}

// kill ends the process as a crash would, and fails the test if it had ended before.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatalf("the child has ended by itself: %v\n%s", err, c.log)
	}
	if err := c.cmd.Wait(); c.cmd.ProcessState.Exited() {
		t.Fatalf("the child has ended by itself: %v\n%s", err, c.log)
	}
}

func (c *child) stop(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("stop: %v\n%s", err, c.log)
	}
}

// An instance that is killed at random moments, again and again, while records come in, gives the results of one clean run.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	l := openLog(t, true)
	n := newJob(t, l, partitions)
	var loading sync.WaitGroup
	loading.Go(func() {
		for i := range 40 {
			l.write(t, n.In, jobInput(uint64(i), 250, partitions, int64(i)*5000))
			time.Sleep(50 * time.Millisecond)
		}
	})
	defer loading.Wait()
	job := childJob{Names: n, Brokers: l.brokers, StateDir: t.TempDir(), Workers: 2}
	const kills = 6
	for i := range kills {
		job.Eager = i != 1 // a store that is far behind and one that is nearly up to date
		c := job.start(t)
		time.Sleep(150*time.Millisecond + time.Duration(rand.IntN(500))*time.Millisecond)
		c.kill(t)
		if i == kills-2 {
			job.Workers = 1 // the slot that is not used any more must not stay open
		}
	}
	loading.Wait()
	c := job.start(t)
	eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	c.stop(t)
	n.check(t, l)
}

// At least once means that nothing is lost: every record is in the copy, in order, some perhaps twice.
func TestKilledAtLeastOnce(t *testing.T) {
	t.Parallel()
	l := openLog(t, true)
	n := newJob(t, l, partitions)
	job := childJob{Names: n, Brokers: l.brokers, StateDir: t.TempDir(), Workers: 2, Guarantee: runtime.AtLeastOnce}
	for i := range 3 {
		c := job.start(t)
		for j := range 10 {
			l.write(t, n.In, jobInput(uint64(10*i+j), 250, partitions, int64(10*i+j)*5000))
			time.Sleep(20 * time.Millisecond)
		}
		c.kill(t)
	}
	c := job.start(t)
	eventually(t, 30*time.Second, "all is processed", func() bool { return l.drained(t, n.App, n.inputs()...) })
	c.stop(t)
	copied := make(map[record]int)
	for _, r := range l.read(t, n.Copy) {
		copied[r]++
	}
	input := l.read(t, n.In)
	for _, r := range input {
		copied[r]--
	}
	for r, more := range copied {
		if more < 0 {
			t.Errorf("%+v is lost", r)
		}
	}
}

// takeOver returns the session's and the transactions' time-out. Kafka has group.min.session.timeout.ms=6000 by default.
func takeOver() time.Duration {
	if os.Getenv("MILLRACE_KAFKA") != "" {
		return 6 * time.Second
	}
	return 2 * time.Second
}

// Two instances share the partitions; one is killed, the other takes over.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	l := openLog(t, true)
	n := newJob(t, l, partitions)
	l.write(t, n.In, jobInput(1, 2000, partitions, 0))
	first := childJob{Names: n, Brokers: l.brokers, StateDir: t.TempDir(), Workers: 1, Timeout: takeOver()}.start(t)
	eventually(t, 30*time.Second, "the first instance works", func() bool { return l.drained(t, n.App, n.inputs()...) })
	second := childJob{Names: n, Brokers: l.brokers, StateDir: t.TempDir(), Workers: 1, Timeout: takeOver()}.start(t)
	for i := range 10 {
		l.write(t, n.In, jobInput(uint64(10+i), 200, partitions, 40_000+int64(i)*4000))
		time.Sleep(100 * time.Millisecond)
	}
	eventually(t, 30*time.Second, "both work", func() bool { return l.drained(t, n.App, n.inputs()...) })
	l.write(t, n.In, jobInput(50, 2000, partitions, 100_000))
	first.kill(t)
	l.write(t, n.In, jobInput(51, 500, partitions, 100_000))
	eventually(t, 60*time.Second, "the second has taken over", func() bool { return l.drained(t, n.App, n.inputs()...) })
	second.stop(t)
	n.check(t, l)
}
