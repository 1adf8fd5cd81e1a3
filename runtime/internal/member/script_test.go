package member

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// TestScripts runs testdata/*.txt: each line before "----" is an event, what follows up to an empty line is what the core
// does and where it stands. Lines with # are prose.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s\n%s", file, firstDifference(got, string(want)))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d:\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(g), len(w))
}

// script drives a core.
type script struct {
	t   *testing.T
	c   *core
	now time.Time
}

var epoch = time.Unix(0, 0)

func runScript(t *testing.T, text string) string {
	s := &script{t: t, now: epoch}
	var out strings.Builder
	expected := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case expected:
			if line == "" {
				expected = false
				out.WriteString("\n")
			}
		case line == "----":
			expected = true
		case line == "" || strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
		default:
			fmt.Fprintf(&out, "%s\n----\n%s", line, s.run(line))
		}
	}
	return out.String()
}

// run performs one line and shows the effects and the state.
func (s *script) run(line string) string {
	fields := strings.Fields(line)
	args := make(map[string]string)
	for _, f := range fields[1:] {
		k, v, _ := strings.Cut(f, "=")
		args[k] = v
	}
	if after, ok := args["after"]; ok {
		d, err := time.ParseDuration(after)
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		s.now = s.now.Add(d)
	}
	var effects []effect
	if fields[0] == "new" {
		s.c = newCore(time.Second, parseTasks(s.t, args["previous"]))
	} else {
		effects = s.c.step(s.now, s.event(line, fields[0], args))
	}
	var b bytes.Buffer
	for _, e := range effects {
		fmt.Fprintf(&b, "-> %s\n", showEffect(&e))
	}
	c := s.c
	fmt.Fprintf(&b, "%s id=%q gen=%d incarnation=%d joined=%v tasks=[%s] revoked=[%s]", c.state, c.memberID, c.generation, c.incarnation, c.joined, showTasks(c.active), showTasks(c.revoked()))
	if c.stopped {
		b.WriteString(" stopped")
	}
	if at := c.wake(); !at.IsZero() {
		fmt.Fprintf(&b, " wake=%v", at.Sub(s.now))
	}
	b.WriteByte('\n')
	return b.String()
}

func (s *script) event(line, kind string, args map[string]string) event {
	ev := event{memberID: s.c.memberID, generation: s.c.generation, gate: s.c.gates, reason: args["reason"]}
	kinds := map[string]eventKind{
		"tick": evTick, "gate": evGateClosed, "joined": evJoined, "planned": evPlanned, "synced": evSynced, "beat": evHeartbeat,
		"released": evReleased, "rejoin": evRejoin, "refused": evRefused, "leave": evLeave, "stop-all": evStopAll,
	}
	var ok bool
	if ev.kind, ok = kinds[kind]; !ok {
		s.t.Fatalf("%q: no such event", line)
	}
	verdicts := map[string]verdict{"later": tryLater, "give-id": giveID, "rebalance": rebalance, "lost": memberLost, "fatal": fatal}
	for k, v := range args {
		var err error
		switch k {
		case "id":
			ev.memberID = v
		case "gen":
			_, err = fmt.Sscan(v, &ev.generation)
		case "gate":
			_, err = fmt.Sscan(v, &ev.gate)
		case "leader":
			ev.leader = true
		case "stop":
			ev.stop = true
		case "tasks":
			ev.tasks = parseTasks(s.t, v)
		case "plan":
			ev.plan = map[string][]byte{s.c.memberID: []byte(v)}
		case "err":
			ev.err = errors.New(v)
		case "after", "reason":
		default:
			if ev.verdict, ok = verdicts[k]; !ok {
				s.t.Fatalf("%q: what is %s?", line, k)
			}
			if ev.verdict == fatal {
				ev.err = errors.New("fatal answer")
			}
		}
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
	}
	return ev
}

func showEffect(e *effect) string {
	switch e.kind {
	case doCloseGate:
		return fmt.Sprintf("close gate %d", e.gate)
	case doOpenGate:
		return "open gate"
	case doJoin:
		if e.stop {
			return fmt.Sprintf("join id=%q and stop all, reason=%q", e.memberID, e.reason)
		}
		return fmt.Sprintf("join id=%q claims=[%s] of generation %d previous=[%s] reason=%q", e.memberID, showTasks(e.claims), e.claimed, showTasks(e.previous), e.reason)
	case doPlan:
		return fmt.Sprintf("plan gen=%d", e.generation)
	case doSync:
		return fmt.Sprintf("sync gen=%d plan=%s", e.generation, e.plan)
	case doHeartbeat:
		return fmt.Sprintf("heartbeat id=%q gen=%d", e.memberID, e.generation)
	case doLeave:
		return fmt.Sprintf("leave id=%q", e.memberID)
	case doStop:
		return fmt.Sprintf("stop err=%v", e.err)
	}
	return fmt.Sprintf("effect %d", e.kind)
}

func parseTasks(t *testing.T, list string) []assign.Task {
	var tasks []assign.Task
	for _, f := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		var task assign.Task
		if _, err := fmt.Sscanf(f, "%d_%d", &task.Subtopology, &task.Partition); err != nil {
			t.Fatalf("task %q: %v", f, err)
		}
		tasks = append(tasks, task)
	}
	return tasks
}

func showTasks(tasks []assign.Task) string {
	parts := make([]string, len(tasks))
	for i, t := range tasks {
		parts[i] = fmt.Sprintf("%d_%d", t.Subtopology, t.Partition)
	}
	return strings.Join(parts, " ")
}
