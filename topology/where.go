package topology

import (
	"path"
	"runtime"
	"strconv"
	"strings"
)

// module is the import path that this package's is made of.
const module = "github.com/millrace-io/millrace/"

// describing are the packages that describe topologies: what calls them is the program.
var describing = []string{module + "topology.", module + "stream.", module + "stream/internal/"}

// maxFrames bounds the search for the program among the callers.
const maxFrames = 32

// Where returns the line of the program that is calling this package or the DSL, as "flights/pipeline.go:42", empty if there is none. Nodes
// bear it ([Node].Line), so that errors can name it. It is for layers above that make nodes.
func Where() string {
	var pcs [maxFrames]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if f.File != "" && !describes(f.Function) {
			dir, file := path.Split(f.File)
			return path.Join(path.Base(dir), file) + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return ""
		}
	}
}

func describes(function string) bool {
	for _, p := range describing {
		if strings.HasPrefix(function, p) {
			return true
		}
	}
	return false
}

// at puts a line in front of a message, if it is known.
func at(line, message string) string {
	if line == "" {
		return message
	}
	return line + ": " + message
}
