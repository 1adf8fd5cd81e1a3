package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	goparser "go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMisuse: programs that must not compile do not, and the compiler says why. They are the functions of testdata/misuse/*.go.txt; the
// comment above each one is a part of the message. A function without one must compile: what it does is done right (D-152, P-02).
func TestMisuse(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/misuse/*.go.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	set := token.NewFileSet()
	imports := exported(t, set)
	refused := 0
	for _, path := range files {
		f, err := goparser.ParseFile(set, path, nil, goparser.ParseComments|goparser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		var faults []types.Error
		conf := types.Config{Importer: imports, Error: func(err error) {
			if e, ok := errors.AsType[types.Error](err); ok {
				faults = append(faults, e)
			}
		}}
		_, _ = conf.Check("misuse", set, []*ast.File{f}, nil) // what it returns is the first of the faults
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if want := strings.TrimSpace(fn.Doc.Text()); want != "" {
				refused++
				judge(t, fn, within(faults, fn), want)
			} else if wrong := within(faults, fn); len(wrong) > 0 {
				t.Errorf("%s is right, and does not compile: %v", fn.Name, wrong)
			}
		}
	}
	if refused < 25 {
		t.Errorf("only %d programs are refused", refused)
	}
}

// judge checks that a function is refused for the reason that stands above it.
func judge(t *testing.T, fn *ast.FuncDecl, faults []types.Error, want string) {
	t.Helper()
	for _, f := range faults {
		if strings.Contains(f.Msg, want) {
			return
		}
	}
	if len(faults) == 0 {
		t.Errorf("%s compiles", fn.Name)
	} else {
		t.Errorf("%s: %v\nwant %q", fn.Name, faults, want)
	}
}

func within(faults []types.Error, fn *ast.FuncDecl) (list []types.Error) {
	for _, f := range faults {
		if fn.Pos() <= f.Pos && f.Pos <= fn.End() {
			list = append(list, f)
		}
	}
	return list
}

// exported imports packages from what the compiler has written for them, of which the go command knows where it is.
func exported(t *testing.T, set *token.FileSet) types.Importer {
	t.Helper()
	const all = "{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}"
	cmd := exec.Command("go", "list", "-deps", "-export", "-f", all, ".", "../topology", "../serde", "../state", "./window")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			files[path] = file
		}
	}
	return importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) {
		file, ok := files[path]
		if !ok {
			return nil, fmt.Errorf("package %s: there is no export data", path)
		}
		return os.Open(file)
	})
}
