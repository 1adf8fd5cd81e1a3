package examples_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const mutationList = "../stream/testdata/mutations.txt"

// mutation is one changed line, and the test that must fail then.
type mutation struct {
	row, dir, test string // the folder of the test, from the module's root
	file           string // the same of the file
	line, changed  string // without the space around them
}

// TestMutationList keeps the list true that TestMutations tries: each row is of the parity table and has a test that the table knows
// for it, each line is in its file once, and the file with the line changed is Go.
func TestMutationList(t *testing.T) {
	t.Parallel()
	list := readMutations(t)
	if len(list) < 30 {
		t.Errorf("%s: %d rows, want a sample of 30 at least", mutationList, len(list))
	}
	_, index := readParityRows(t)
	vectors, tests := citedByVectors(t), citedByTests(t)
	seen := map[string]bool{}
	for _, m := range list {
		if seen[m.row] || index[m.row] == nil {
			t.Errorf("%s: row %s is there twice, or not in %s", mutationList, m.row, parityRows)
		}
		seen[m.row] = true
		known := slices.Contains(tests[m.row], m.dir+" "+m.test)
		if name, ok := strings.CutPrefix(m.test, "TestVectors/"); ok && m.dir == "stream" {
			known = slices.Contains(vectors[m.row], name)
		}
		if !known {
			t.Errorf("%s: %s %s is not a test that %s names for row %s", mutationList, m.dir, m.test, parityPage, m.row)
		}
		src := readSource(t, m.file)
		out, err := m.apply(src)
		if err == nil {
			_, err = parser.ParseFile(token.NewFileSet(), m.file, out, parser.SkipObjectResolution)
		}
		if err != nil {
			t.Errorf("%s: row %s: %v", mutationList, m.row, err)
		}
	}
}

func readMutations(t *testing.T) (list []mutation) {
	t.Helper()
	b, err := os.ReadFile(mutationList)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	for chunk := range slices.Chunk(lines, 4) {
		var m mutation
		bad := len(chunk) < 4
		if !bad {
			head := strings.Fields(chunk[0])
			was, isLine := strings.CutPrefix(chunk[2], "- ")
			changed, isChange := strings.CutPrefix(chunk[3], "+")
			if bad = len(head) != 3 || !isLine || !isChange; !bad {
				m = mutation{head[0], head[1], head[2], chunk[1], was, strings.TrimSpace(changed)}
			}
		}
		if bad {
			t.Fatalf("%s: %q is not row, folder and test; file; line; changed line", mutationList, chunk)
		}
		list = append(list, m)
	}
	return list
}

func readSource(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// apply puts both lines into the source, of which mutatedBy chooses one. It is an error if the line is not there, or more than once.
func (m mutation) apply(src string) (string, error) {
	var out strings.Builder
	found := 0
	for line := range strings.Lines(src) {
		if strings.TrimSpace(line) == m.line {
			found++
			line = m.choice() + "\n"
		}
		out.WriteString(line)
	}
	if found != 1 {
		return "", fmt.Errorf("%s has the line %d times, want once: %s", m.file, found, m.line)
	}
	return out.String(), nil
}

// choice is a line that does what the changed line does if this mutation is on, else what the line does: one binary has all mutations
// of a package, of which at most one is on.
func (m mutation) choice() string {
	on := fmt.Sprintf("mutatedBy(%q)", m.row)
	for _, form := range [][2]string{{"if ", "{"}, {"case ", ":"}} {
		was, ok := condition(m.line, form)
		if now, both := condition(m.changed, form); ok && both {
			return fmt.Sprintf("%s%s && (%s) || !%s && (%s) %s", form[0], on, now, on, was, form[1])
		}
	}
	if m.changed == "" {
		return fmt.Sprintf("if !%s { %s }", on, m.line)
	}
	return fmt.Sprintf("if %s { %s } else { %s }", on, m.changed, m.line)
}

// condition returns what stands between the ends of a line, a comment behind it left out.
func condition(line string, ends [2]string) (string, bool) {
	code, _, _ := strings.Cut(line, " // ")
	code, begins := strings.CutPrefix(code, ends[0])
	code, closes := strings.CutSuffix(strings.TrimSpace(code), ends[1])
	return strings.TrimSpace(code), begins && closes
}
