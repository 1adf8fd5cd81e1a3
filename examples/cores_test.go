package examples_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

// cores are the packages that decide and do not act: given the same events and times they do the same, so that tests can
// replay them.
var cores = []string{
	"topology", "stream", "runtime/internal/task", "runtime/internal/member", "runtime/internal/assign", "runtime/internal/commit",
	"broker/internal/group", "broker/internal/txn", "broker/internal/access", "broker/internal/batch", "broker/internal/compact",
}

// shells are the files in a core's package that perform what it decides.
var shells = []string{"runtime/internal/member/run.go", "runtime/internal/member/member.go", "runtime/internal/member/gate.go"}

// outside are the packages by which a core would reach the world.
var outside = []string{"os", "net", "os/exec", "syscall", "io/ioutil"}

// clockReaders are the functions that read the clock or wait for it, or draw from a random source that no seed replays.
var clockReaders = map[string][]string{
	"time":         {"Now", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Since", "Until"},
	"math/rand":    {"Int", "Intn", "Int63", "Float64", "Perm", "Shuffle"},
	"math/rand/v2": {"Int", "IntN", "Int64", "Int64N", "Uint32", "Uint64", "Float64", "N", "Perm", "Shuffle"},
}

func TestCoresDoNotReachOutside(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if !slices.ContainsFunc(cores, func(dir string) bool { return within(s.dir, dir) }) || slices.Contains(shells, s.path) || tooNew(s.path) {
			continue
		}
		for _, imp := range s.imports {
			if slices.Contains(outside, imp) {
				t.Errorf("%s imports %s: a core does no I/O", s.path, imp)
			}
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, filepath.Join("..", s.path), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a core starts no goroutine", set.Position(n.Pos()))
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && readsClock(s.imports, pkg.Name, n.Sel.Name) {
					t.Errorf("%s: %s.%s: a core is told the time, and its random source", set.Position(n.Pos()), pkg.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

func readsClock(imports []string, pkg, function string) bool {
	for path, functions := range clockReaders {
		last := filepath.Base(path)
		if last == "v2" {
			last = "rand"
		}
		if last == pkg && slices.Contains(imports, path) && slices.Contains(functions, function) {
			return true
		}
	}
	return false
}
