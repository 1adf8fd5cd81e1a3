// Package examples_test checks what must hold across the packages.
package examples_test

import (
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/millrace-io/millrace"

// mayImport says, for each top-level package, which others it may import, sub-packages included, outside tests. Tests may
// look sideways; examples and the command broker/cmd/millrace are programs, and may import any.
var mayImport = map[string][]string{
	"serde":    {},
	"state":    {"serde"},
	"topology": {"serde", "state"},
	"stream":   {"serde", "state", "topology"},
	"runtime":  {"serde", "state", "topology"},
	"broker":   {},
}

// clients are the Kafka client's packages that speak to a log; kmsg and kerr next to them are the protocol's types alone.
var clients = []string{"github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/kadm"}

// mayImportClient are the directories that may reach a log through the client.
var mayImportClient = []string{"runtime/internal/client", "examples"}

// noClientBelow are the packages that may not depend on a client by any way: the deterministic core, and the driver that
// runs it without a log.
var noClientBelow = []string{"serde", "state", "topology", "stream", "runtime/internal/task", "runtime/topologytest"}

// source is one Go file, its imports parsed. (Asking go list instead would be answered from the test cache.)
type source struct {
	path, dir string
	imports   []string
}

func TestImportDirections(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, f := range sources(t) {
		top, _, _ := strings.Cut(f.dir, "/")
		seen[top] = true
		if top == "examples" || strings.HasPrefix(f.dir, "broker/cmd/") {
			continue
		}
		allowed, known := mayImport[top]
		if !known {
			t.Errorf("%s: %q is not one of the seven top-level packages", f.path, top)
			continue
		}
		for _, imp := range f.imports {
			rest, ours := strings.CutPrefix(imp, module+"/")
			other, _, _ := strings.Cut(rest, "/")
			if ours && other != top && !slices.Contains(allowed, other) {
				t.Errorf("%s imports %s: %s may import only %v of ours", f.path, rest, top, allowed)
			}
		}
	}
	for _, top := range slices.Sorted(maps.Keys(mayImport)) {
		if !seen[top] {
			t.Errorf("no file of %s was found: the test looks in the wrong place", top)
		}
	}
}

func TestOnlyTheClientPackageReachesALog(t *testing.T) {
	t.Parallel()
	for _, f := range sources(t) {
		if slices.ContainsFunc(mayImportClient, func(dir string) bool { return within(f.dir, dir) }) {
			continue
		}
		for _, imp := range f.imports {
			if slices.ContainsFunc(clients, func(c string) bool { return within(imp, c) }) {
				t.Errorf("%s imports %s: only %v may", f.path, imp, mayImportClient)
			}
		}
	}
}

// TestTheCoreHasNoClient follows imports: a core must not reach a Kafka client through another package either.
func TestTheCoreHasNoClient(t *testing.T) {
	t.Parallel()
	imports := make(map[string]map[string]bool) // by directory
	for _, f := range sources(t) {
		if imports[f.dir] == nil {
			imports[f.dir] = make(map[string]bool)
		}
		for _, imp := range f.imports {
			imports[f.dir][imp] = true
		}
	}
	for _, root := range noClientBelow {
		for dir := range imports {
			if within(dir, root) {
				follow(t, imports, []string{dir}, make(map[string]bool))
			}
		}
	}
}

// follow walks what the last directory of way imports, depth first.
func follow(t *testing.T, imports map[string]map[string]bool, way []string, seen map[string]bool) {
	t.Helper()
	dir := way[len(way)-1]
	if seen[dir] {
		return
	}
	seen[dir] = true
	for imp := range imports[dir] {
		if slices.ContainsFunc(clients, func(c string) bool { return within(imp, c) }) {
			t.Errorf("%s imports %s", strings.Join(way, " imports "), imp)
		}
		if rest, ours := strings.CutPrefix(imp, module+"/"); ours {
			follow(t, imports, append(slices.Clone(way), rest), seen)
		}
	}
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// sources returns every Go file of the module that is no test, with whatever build tags.
// tooNew reports whether a file is in a language that this toolchain does not parse: generic methods came with Go 1.27.
func tooNew(path string) bool {
	return path == "stream/fluent.go" && !slices.Contains(build.Default.ReleaseTags, "go1.27")
}

func sources(t *testing.T) []source {
	t.Helper()
	const root = ".."
	var files []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		s := source{path: filepath.ToSlash(rel), dir: filepath.ToSlash(filepath.Dir(rel))}
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, imp)
		}
		files = append(files, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
