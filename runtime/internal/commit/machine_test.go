package commit

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

var update = flag.Bool("update", false, "rewrite the scripts' answers")

// TestScripts runs testdata/*.txt. A line is a comment, the configuration, a passage of time, a restart, or an event with its
// outcome; the line below an event, indented, is the state and the effect that follow from it.
func TestScripts(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("scripts: %v, %v", names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(want))
			if got == string(want) {
				return
			}
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s: got\n%s", name, got)
		})
	}
}

func runScript(t *testing.T, script string) string {
	t.Helper()
	var out strings.Builder
	m, now := newScripted("eos"), time.Unix(1000, 0)
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "    ") {
			continue // an old answer
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(line, "#"):
		case words[0] == "machine":
			m = newScripted(words[1])
		case words[0] == "wait":
			d, err := time.ParseDuration(words[1])
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(d)
		case words[0] == "restart":
			fmt.Fprintf(&out, "    %s\n", answer(m, m.Restart(now, errors.New("somebody has decided to go on"))))
		default:
			fmt.Fprintf(&out, "    %s\n", answer(m, m.Step(now, scriptedEvent(t, words))))
		}
	}
	return out.String()
}

func newScripted(mode string) *Machine {
	return New(Config{Transactional: mode == "eos", TransactionTimeout: 10 * time.Second, GiveUpAfter: 5 * time.Minute})
}

func answer(m *Machine, e Effect) string {
	s := fmt.Sprintf("%s: %s", m.State(), e.Kind)
	if e.Kind == SendOffsets {
		s += fmt.Sprintf(" as %s/%d", e.Member.MemberID, e.Member.Generation)
	}
	if e.Wait > 0 {
		s += fmt.Sprintf(" after %v", e.Wait)
	}
	if e.Lost {
		s += " without tasks"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

var scriptedErrors = map[string]error{
	"timeout":      errors.New("request timed out"),
	"fenced":       kerr.ProducerFenced,
	"epoch":        kerr.InvalidProducerEpoch,
	"generation":   kerr.IllegalGeneration,
	"rebalance":    kerr.RebalanceInProgress,
	"unknown":      kerr.UnknownMemberID,
	"state":        kerr.InvalidTxnState,
	"sequence":     kerr.OutOfOrderSequenceNumber,
	"unauthorised": kerr.TopicAuthorizationFailed,
	"large":        kerr.MessageTooLarge,
	"user":         Fatal(errors.New("task 0_1: orders-1 offset 7: division by zero")),
	"corrupted":    Corrupted(errors.New("store counts: offset 9 below log start 20")),
}

func scriptedEvent(t *testing.T, words []string) Event {
	t.Helper()
	for k, name := range eventNames {
		if name != words[0] {
			continue
		}
		ev := Event{Kind: EventKind(k), Member: Membership{MemberID: "m1", Generation: 4}}
		for _, w := range words[1:] {
			if id, generation, ok := strings.Cut(w, "/"); ok {
				n, err := strconv.Atoi(generation)
				if err != nil {
					t.Fatal(err)
				}
				ev.Member = Membership{id, int32(n)}
			} else if ev.Err = scriptedErrors[w]; ev.Err == nil {
				t.Fatalf("no scripted error %q", w)
			}
		}
		return ev
	}
	t.Fatalf("no event %q", words[0])
	return Event{}
}

// An instance id that is in use stays the reason, though a fencing is what told.
func TestClassOfAnInstanceInUse(t *testing.T) {
	t.Parallel()
	if class := Classify(fmt.Errorf("%w: %w", ErrInstanceInUse, kerr.ProducerFenced)); class != ClassFatal {
		t.Errorf("class %v", class)
	}
}
