// Package scripttest plays scripts: tests as text, in the files testdata/*.txt of the package under test. A line that begins with "> " is a
// command; what follows, up to an empty line or the next command, is what it prints; all else is prose. With -update the files are
// rewritten to what the commands print now.
package scripttest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// Updating reports whether expected output is to be rewritten, for tests that keep it in another form.
func Updating() bool { return *update }

// Run plays each script as a subtest of its own. begin returns what carries out a command and returns its output, in lines.
func Run(t *testing.T, begin func(t *testing.T) func(command string) string) {
	t.Helper()
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := string(b)
			switch got := play(want, begin(t)); {
			case got == want:
			case !*update:
				t.Errorf("%s differs, go test -update rewrites it: %s", file, firstDifference(want, got))
			default:
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// play returns the script with the output that its commands give now.
func play(script string, do func(command string) string) string {
	var out strings.Builder
	old := false // the line is what the command before printed
	for line := range strings.Lines(script) {
		command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "> ")
		if old = old && strings.TrimSpace(line) != "" && !ok; old {
			continue
		}
		out.WriteString(line)
		if ok {
			out.WriteString(do(command))
			old = true
		}
	}
	return out.String()
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}
