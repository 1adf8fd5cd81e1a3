package scripttest

import (
	"strings"
	"testing"
)

// TestPlay: what commands print takes the place of what they printed, prose and empty lines stay.
func TestPlay(t *testing.T) {
	t.Parallel()
	const script = "prose\n> say a b\n  old\nolder\n\nmore prose\n> quiet\n> say c\n"
	const want = "prose\n> say a b\na b\n\nmore prose\n> quiet\n> say c\nc\n"
	echo := func(command string) string {
		text, ok := strings.CutPrefix(command, "say ")
		if !ok {
			return ""
		}
		return text + "\n"
	}
	got := play(script, echo)
	if got != want || play(want, echo) != want {
		t.Errorf("got\n%s", got)
	}
	if d := firstDifference(script, want); d != "line 3\nwant   old\ngot  a b" {
		t.Errorf("first difference: %s", d)
	}
	if d := firstDifference("a", "a\nb"); d != "2 lines, want 1" {
		t.Errorf("first difference: %s", d)
	}
}
