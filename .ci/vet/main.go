// Command vet is what go vet runs beside its own checks (-vettool): errors are compared by errors.Is, asserted by errors.As and
// wrapped by %w. As a vet tool its results are cached by package; alone, the analyzer reads all dependencies from source.
package main

import (
	"github.com/polyfloyd/go-errorlint/errorlint"
	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() { unitchecker.Main(errorlint.NewAnalyzer()) }
