package examples_test

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateParity = flag.Bool("update-parity", false, "write stream/PARITY.md anew")

const (
	parityRows = "../stream/testdata/parity.txt"
	parityPage = "../stream/PARITY.md"
)

// parityRow is a row of what Kafka Streams' DSL, Processor API and test kit do. Its number is what tests cite.
type parityRow struct {
	id, title, reason string // reason: why no test proves it, or what differs
	vectors, tests    []string
}

// citation matches the number of a row.
var citation = regexp.MustCompile(`\b[XDPT]-\d{2,3}\b`)

// TestParityTable keeps stream/PARITY.md true: for each row the recorded cases and tests that cite it, else the reason why there is none.
// It fails when the page is stale; go test ./examples -run TestParityTable -update-parity writes it.
func TestParityTable(t *testing.T) {
	t.Parallel()
	rows, index := readParityRows(t)
	for row, cases := range citedByVectors(t) {
		if r := index[row]; r != nil {
			r.vectors = cases
		}
	}
	for row, tests := range citedByTests(t) {
		if r := index[row]; r != nil {
			r.tests = tests
		} else {
			t.Errorf("%v cite %s, which %s does not have", tests, row, parityRows)
		}
	}
	for _, r := range rows {
		if len(r.vectors)+len(r.tests) == 0 && r.reason == "" {
			t.Errorf("row %s (%s): no test cites it, and %s gives no reason", r.id, r.title, parityRows)
		}
	}
	page := parityText(rows)
	if *updateParity {
		if err := os.WriteFile(parityPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(parityPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != page {
		t.Errorf("%s is stale: go test ./examples -run TestParityTable -update-parity", parityPage)
	}
}

func readParityRows(t *testing.T) (rows []*parityRow, index map[string]*parityRow) {
	t.Helper()
	b, err := os.ReadFile(parityRows)
	if err != nil {
		t.Fatal(err)
	}
	index = map[string]*parityRow{}
	for line := range strings.Lines(string(b)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		title, reason, _ := strings.Cut(rest, " | ")
		if citation.FindString(id) != id || title == "" || index[id] != nil {
			t.Fatalf("%s: %q", parityRows, line)
		}
		r := &parityRow{id: id, title: title, reason: reason}
		rows, index[id] = append(rows, r), r
	}
	return rows, index
}

// citedByVectors returns the recorded cases by row. TestVectors fails unless each is compared.
func citedByVectors(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("../stream/testdata/vectors/*.json.gz")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	cited := map[string][]string{}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			Case string
			Rows []string
		}
		err = json.NewDecoder(z).Decode(&v)
		if cerr := f.Close(); err != nil || cerr != nil {
			t.Fatalf("%s: %v, %v", path, err, cerr)
		}
		for _, row := range v.Rows {
			cited[row] = append(cited[row], v.Case)
		}
	}
	return cited
}

// citedByTests returns the tests by row: those whose function, or the comment on it, holds the row's number.
func citedByTests(t *testing.T) map[string][]string {
	t.Helper()
	cited := map[string]map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") || filepath.Dir(path) == "." {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !isTest(fn.Name.Name) {
				continue
			}
			from := fn.Pos()
			if fn.Doc != nil {
				from = fn.Doc.Pos()
			}
			text := src[set.Position(from).Offset:set.Position(fn.End()).Offset]
			for _, row := range rowsIn(string(text)) {
				if cited[row] == nil {
					cited[row] = map[string]bool{}
				}
				cited[row][dir+" "+fn.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	list := map[string][]string{}
	for row, tests := range cited {
		list[row] = slices.SortedFunc(maps.Keys(tests), byCloseness)
	}
	return list
}

// rowsIn returns the rows that a text cites: "D-21", and those between in "X-13 to X-15".
func rowsIn(text string) (rows []string) {
	for _, m := range regexp.MustCompile(`\b([XDPT])-(\d{2,3})(?: to (?:[XDPT]-)?(\d{2,3}))?\b`).FindAllStringSubmatch(text, -1) {
		var from, to int
		if _, err := fmt.Sscan(strings.TrimLeft(m[2], "0"), &from); err != nil {
			continue
		}
		if to = from; m[3] != "" {
			if _, err := fmt.Sscan(strings.TrimLeft(m[3], "0"), &to); err != nil {
				continue
			}
		}
		for n := from; n <= to; n++ {
			rows = append(rows, fmt.Sprintf("%s-%02d", m[1], n))
		}
	}
	return rows
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Example") || strings.HasPrefix(name, "Fuzz")
}

// byCloseness puts tests of the packages that do what the rows say before those that use them.
func byCloseness(a, b string) int {
	rank := func(s string) int {
		return slices.IndexFunc([]string{"stream", "topology", "runtime/topologytest", "runtime/internal/task", "state", ""}, func(dir string) bool {
			return strings.HasPrefix(s, dir)
		})
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}

const parityIntro = `# Parity with Kafka Streams

What the DSL, the Processor API and the test kit of Kafka Streams do, row by row, and what proves that Millrace does it. X: rules that hold
for all operators; D: operators; P: Processor API; T: test kit. Recorded cases are what Kafka Streams 4.4.0 itself answered
(` + "`testdata/vectors`, compared by `TestVectors`" + `); tests are those that cite the row, the two closest of them. A row without either says why.
For a sample of rows ` + "`testdata/mutations.txt`" + ` has a line of the code, changed, with which the test fails; ` + "`.ci/run mutations`" + ` tries them.

Generated from the tests: ` + "`go test ./examples -run TestParityTable -update-parity`" + `.

| row | what | proved by | remark |
|---|---|---|---|
`

func parityText(rows []*parityRow) string {
	var b strings.Builder
	b.WriteString(parityIntro)
	for _, r := range rows {
		var proof []string
		switch n := len(r.vectors); {
		case n == 1:
			proof = append(proof, "case "+r.vectors[0])
		case n > 1:
			proof = append(proof, fmt.Sprintf("case %s and %d others", r.vectors[0], n-1))
		}
		proof = append(proof, r.tests[:min(2, len(r.tests))]...)
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.id, r.title, strings.Join(proof, "; "), r.reason)
	}
	return b.String()
}
