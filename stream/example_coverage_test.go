package stream_test

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// operands are the types that operators are of.
var operands = []string{
	"KStream", "KTable", "GlobalKTable", "GroupedStream", "GroupedTable", "WindowedStream", "SessionStream", "WindowedTable",
	"CogroupedStream", "CogroupedWindows", "CogroupedSessions", "Branches",
}

// TestEveryOperatorHasAnExample: what makes or takes a stream or a table is shown at work by a runnable example.
func TestEveryOperatorHasAnExample(t *testing.T) {
	t.Parallel()
	operators, shown := map[string]bool{}, map[string]bool{}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name == "fluent.go" || name == "fluent_test.go" { // for Go 1.27: the same operators as methods
			continue
		}
		f, err := goparser.ParseFile(token.NewFileSet(), name, nil, goparser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			switch {
			case !ok:
			case strings.HasSuffix(name, "_test.go"):
				if strings.HasPrefix(fn.Name.Name, "Example") || strings.HasPrefix(name, "example_") {
					ast.Inspect(fn, func(n ast.Node) bool {
						if s, ok := n.(*ast.SelectorExpr); ok {
							shown[s.Sel.Name] = true
						}
						return true
					})
				}
			case fn.Name.IsExported() && isOperator(fn):
				operators[fn.Name.Name] = true
			}
		}
	}
	if len(operators) < 50 {
		t.Fatalf("only %d operators were found", len(operators))
	}
	for name := range operators {
		if !shown[name] {
			t.Errorf("no example shows %s", name)
		}
	}
}

// isOperator reports whether a function is of a stream or a table, or returns one.
func isOperator(fn *ast.FuncDecl) bool {
	of := func(fields *ast.FieldList) bool {
		return fields != nil && slices.ContainsFunc(fields.List, func(f *ast.Field) bool { return slices.Contains(operands, typeName(f.Type)) })
	}
	return of(fn.Recv) || of(fn.Type.Params) || of(fn.Type.Results)
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	case *ast.StarExpr:
		return typeName(e.X)
	}
	return ""
}
