package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/examples/flights/data"
	"github.com/millrace-io/millrace/examples/internal/cluster"
)

// childEnv makes the test binary the example itself: a process that a test can kill. Its value is the prefix of the names.
const childEnv = "MILLRACE_FLIGHTS_CHILD"

// killsEnv and seedEnv change the number of kills, and replay a run of the test.
const (
	killsEnv = "MILLRACE_KILLS"
	seedEnv  = "MILLRACE_SEED"
)

func TestMain(m *testing.M) {
	if prefix, child := os.LookupEnv(childEnv); child {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		status := mainStatus(program{names: namesWith(prefix)}.run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr)
		stop()
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// child returns the example as a process, not yet started.
func child(ctx context.Context, prefix string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"="+prefix)
	return cmd
}

// stage is what a job was at when it was killed, as the log tells afterwards.
type stage int

const (
	starting    stage = iota // nothing is loaded
	loadingUp                // flights are missing in the log
	enriching                // flights are in the log that are not enriched
	aggregating              // flights are enriched that are not in the results
	caughtUp
	stages int = iota
)

func (s stage) String() string {
	return [...]string{"starting", "loading", "enriching", "aggregating", "caught up"}[s]
}

func TestKillOnTheEmbeddedBroker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := killer{names: namesWith(""), args: []string{"-dir", dir}, open: func() (*cluster.Log, error) {
		f := cluster.Flags{Dir: dir}
		return f.Open(t.Context(), slog.New(slog.DiscardHandler))
	}}
	k.test(t)
}

func TestKillOnKafka(t *testing.T) {
	t.Parallel()
	l := kafkaLog(t)
	seeds := strings.Join(kafkaSeeds(t), ",")
	dir := t.TempDir()
	k := killer{names: l.names, prefix: l.prefix, args: []string{"-dir", dir, "-brokers", seeds}, open: func() (*cluster.Log, error) {
		f := cluster.Flags{Brokers: seeds}
		return f.Open(t.Context(), slog.New(slog.DiscardHandler))
	}}
	k.test(t)
}

// killer runs one job in many processes, of which it kills all but the last, and compares the result.
type killer struct {
	names  names
	prefix string
	args   []string
	open   func() (*cluster.Log, error) // to look at the log between two processes
	total  string                       // number of flights, as the process writes it

	rng   *rand.Rand
	spell time.Duration // how long a process may live at most once it has begun to load
	idle  int           // kills in a row that came before the process had got on
}

// loadingRate is the -rate while kills should meet the loading: slow enough for a dozen of them.
const loadingRate = 3000

func (k *killer) test(t *testing.T) {
	kills, seed := 3, uint64(time.Now().UnixNano())
	for env, parse := range map[string]func(string) error{
		killsEnv: func(s string) (err error) { kills, err = strconv.Atoi(s); return err },
		seedEnv:  func(s string) (err error) { seed, err = strconv.ParseUint(s, 10, 64); return err },
	} {
		if s := os.Getenv(env); s != "" {
			if err := parse(s); err != nil {
				t.Fatalf("%s: %v", env, err)
			}
		}
	}
	t.Logf("%d kills, %s=%d", kills, seedEnv, seed)
	want := k.data(t, kills)
	k.rng, k.spell = rand.New(rand.NewPCG(seed, 0)), 300*time.Millisecond
	began := time.Now()
	count := k.killAll(t, kills)
	k.report(t, count, kills, time.Since(began))

	sameRows(t, k.finish(t), want)
	sameRows(t, k.finish(t), want) // and once more: nothing is counted twice
}

// data decides what the job works on, and returns the rows that must come of it: the example's own flights; for many kills eight times
// those, for the stages must last long enough to be met by several kills each.
func (k *killer) data(t *testing.T, kills int) (want string) {
	t.Helper()
	k.total = "20,000"
	if kills < 25 {
		return referenceOfEmbedded(t)
	}
	own, err := data.Flights()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	array, err := io.ReadAll(own)
	if err != nil {
		t.Fatal(err)
	}
	elements := string(bytes.Trim(bytes.TrimSpace(array), "[]"))
	file := writeArray(t, slices.Repeat([]string{elements}, 8))
	k.args, k.total = append(k.args, "-data", file), "160,000"
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	return reference(t, f)
}

// killAll kills one process after the other, and counts at what they were: loading goes on beside the other stages.
func (k *killer) killAll(t *testing.T, kills int) (count [stages]int) {
	t.Helper()
	at, done := starting, int64(0)
	for i := range kills {
		args := k.args
		target := aim(i, kills)
		if target == loadingUp {
			args = append([]string{"-rate", strconv.Itoa(loadingRate)}, args...)
		}
		m := k.next(at, target)
		k.killAt(t, m, args)
		met, now := k.look(t)
		at = met[0]
		for _, s := range met {
			count[s]++
		}
		t.Logf("kill %d, %v: %v, %d steps done", i+1, m, met, now)
		// A process must live long enough to get on, and not so long that the next stage is missed.
		switch gain := now - done; {
		case gain == 0:
			k.spell += k.spell / 5
			k.idle++
		case gain > 4000:
			k.spell -= k.spell / 4
			k.idle = 0
		default:
			k.idle = 0
		}
		done = now
	}
	return count
}

// moment is when to kill: a while after the process has said something.
type moment struct {
	after time.Duration
	said  *regexp.Regexp // a line of progress; nil: its start
	what  string
}

func (m moment) String() string {
	return fmt.Sprintf("%v after %s", m.after.Round(time.Millisecond), m.what)
}

var anything = regexp.MustCompile(`loaded`)

func (k *killer) loaded() *regexp.Regexp {
	return regexp.MustCompile("loaded " + k.total + "/" + k.total + " ")
}
func (k *killer) enriched() *regexp.Regexp {
	return regexp.MustCompile("loaded " + k.total + "/" + k.total + ` .* lag 0\|`)
}

// aim is the stage that kill i of several should meet: four in five the loading, whose rate the test can set, so that a quick machine has as much of
// it as a slow one; of the rest half the enriching, half what comes after. Where they land the log will say.
func aim(i, kills int) stage {
	switch {
	case 5*i < 4*kills:
		return loadingUp
	case 10*i < 9*kills:
		return enriching
	default:
		return aggregating
	}
}

// next draws the next moment. at is where the last kill landed.
func (k *killer) next(at, target stage) moment {
	within := func(d time.Duration) time.Duration { return time.Duration(k.rng.Int64N(int64(d))) }
	switch {
	case at < enriching && target == enriching:
		return moment{within(20 * time.Millisecond), k.loaded(), "all is loaded"}
	case at < aggregating && target == aggregating:
		return moment{within(20 * time.Millisecond), k.enriched(), "all is enriched"}
	case k.rng.IntN(5) == 0:
		return moment{within(k.spell), nil, "its start"}
	case at == enriching || at == aggregating:
		// These stages are over in no time: begin with little, and grant more to processes that got nothing done.
		return moment{within(time.Duration(2+k.idle) * 50 * time.Millisecond), anything, "its first word"}
	default:
		return moment{within(k.spell), anything, "its first word"}
	}
}

// killAt starts a process and kills it at a moment. One that ends by itself with an error fails the test.
func (k *killer) killAt(t *testing.T, m moment, args []string) {
	t.Helper()
	cmd := child(t.Context(), k.prefix, args...)
	stderr := &listener{until: m.said, heard: make(chan struct{})}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if m.said != nil {
		select {
		case <-stderr.heard:
		case err := <-ended: // without a word
			ended <- err
		}
	}
	var err error
	select {
	case err = <-ended:
	case <-time.After(m.after): // the moment of the kill is the test's input
		if err = cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		err = <-ended
	}
	var exit *exec.ExitError
	if killed := errors.As(err, &exit) && !exit.Exited(); err != nil && !killed {
		t.Fatalf("the process failed by itself: %v\n%s", err, stderr.all.String())
	}
}

// listener keeps what a process writes, and tells when it has written a certain line.
type listener struct {
	all   bytes.Buffer
	until *regexp.Regexp
	heard chan struct{}
	told  bool
}

func (l *listener) Write(p []byte) (int, error) {
	if l.until != nil && !l.told && l.until.Match(p) {
		l.told = true
		close(l.heard)
	}
	return l.all.Write(p)
}

// look opens the log that a killed process left, and finds out at what it was, the first of its stages first. steps are the records that the job has
// behind it in all of them.
func (k *killer) look(t *testing.T) (at []stage, steps int64) {
	t.Helper()
	log, err := k.open()
	if err != nil {
		t.Fatalf("open the log after a kill: %v", err)
	}
	defer func() {
		if err := log.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close the log: %v", err)
		}
	}()
	cl, err := kgo.NewClient(log.ClientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	at, steps, err = k.stageOf(t.Context(), kadm.NewClient(cl), log.ClientOptions())
	for deadline := time.Now().Add(20 * time.Second); kerr.IsRetriable(err) && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond) // a Kafka that has just begun has no coordinators yet
		at, steps, err = k.stageOf(t.Context(), kadm.NewClient(cl), log.ClientOptions())
	}
	if err != nil {
		t.Fatalf("look at the log after a kill: %v", err)
	}
	return at, steps
}

func (k *killer) stageOf(ctx context.Context, adm *kadm.Client, connect []kgo.Opt) (at []stage, steps int64, err error) {
	l, err := readLoading(ctx, connect, k.names.loading)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return []stage{starting}, 0, nil
	case err != nil:
		return nil, 0, err
	case l == nil:
		return []stage{starting}, 0, nil
	}
	top, err := pipeline(k.names)
	if err != nil {
		return nil, 0, err
	}
	committed, err := adm.FetchOffsets(ctx, k.names.app)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, 0, err
	}
	var met [stages]bool
	met[loadingUp], steps = !l.done(), l.Flights
	for _, topic := range inputs(top, k.names) {
		ends, err := listed(adm.ListCommittedOffsets(ctx, topic))
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue // not created yet
		}
		if err != nil {
			return nil, 0, err
		}
		stage := aggregating
		if topic == k.names.flights {
			stage = enriching
		}
		for partition, end := range ends[topic] {
			next := int64(0)
			if o, ok := committed.Lookup(topic, partition); ok {
				next = max(0, o.At)
			}
			steps += next
			met[stage] = met[stage] || next < end.Offset
		}
	}
	for s := range stages {
		if met[s] {
			at = append(at, stage(s))
		}
	}
	if len(at) == 0 {
		at = append(at, caughtUp)
	}
	return at, steps, nil
}

// finish lets a process run to its end and returns its rows.
func (k *killer) finish(t *testing.T) string {
	t.Helper()
	cmd := child(t.Context(), k.prefix, append([]string{"-json"}, k.args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("the last run: %v\n%s", err, stderr.Bytes())
	}
	return stdout.String()
}

// report prints where the kills landed. With as many as .ci/run asks for, they must have met every stage.
func (k *killer) report(t *testing.T, count [stages]int, kills int, took time.Duration) {
	t.Helper()
	parts := make([]string, 0, stages)
	for s, n := range count {
		parts = append(parts, fmt.Sprintf("%d %v", n, stage(s)))
	}
	t.Logf("%d kills in %.1f s: %s", kills, took.Seconds(), strings.Join(parts, ", "))
	if kills < 25 {
		return
	}
	if before := kills - count[caughtUp]; before < 20 {
		t.Errorf("%d kills landed before it had caught up, want 20 at least", before)
	}
	for s := loadingUp; s <= aggregating; s++ {
		if count[s] < 3 {
			t.Errorf("%d kills landed while %v, want 3 at least", count[s], s)
		}
	}
}
