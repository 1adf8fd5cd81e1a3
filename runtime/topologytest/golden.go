package topologytest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// UpdateGolden is the environment variable that makes [Golden] write files instead of comparing with them: MILLRACE_UPDATE_GOLDEN=1 go test.
const UpdateGolden = "MILLRACE_UPDATE_GOLDEN"

// Golden compares text with a file, such as testdata/topology.txt, and fails the test if they differ. The names in a topology's description
// are a contract with what is stored under them, so that it belongs into one:
//
//	topologytest.Golden(t, "testdata/topology.txt", top.Describe())
//
// With [UpdateGolden] set it writes the file, and its folder.
func Golden(tb testing.TB, path, got string) {
	tb.Helper()
	if os.Getenv(UpdateGolden) != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatalf("topologytest: %v", err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			tb.Fatalf("topologytest: %v", err)
		}
		return
	}
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatalf("topologytest: %v; set %s=1 to write it", err, UpdateGolden)
	}
	if want := strings.ReplaceAll(string(b), "\r\n", "\n"); got != want {
		tb.Errorf("topologytest: %s: %s\nset %s=1 to accept what is there now:\n%s", path, firstDifference(got, want), UpdateGolden, got)
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "nothing", "nothing"
		if i < len(g) {
			a = fmt.Sprintf("%q", g[i])
		}
		if i < len(w) {
			b = fmt.Sprintf("%q", w[i])
		}
		if a != b {
			return fmt.Sprintf("line %d is %s, want %s", i+1, a, b)
		}
	}
	return "they differ"
}

// Render reads all records that have not been read and returns them as text for [Golden], a line for each: key=value @time, and headers.
func Render[K, V any](o *Output[K, V]) string {
	o.d.tb.Helper()
	var b strings.Builder
	for o.Len() > 0 {
		r := o.Read()
		key, value := "null", "null"
		if r.HasKey() {
			key = fmt.Sprintf("%+v", r.Key)
		}
		if r.HasValue() {
			value = fmt.Sprintf("%+v", r.Value)
		}
		fmt.Fprintf(&b, "%s=%s @%d", key, value, r.Timestamp)
		for _, h := range r.Headers.All() {
			fmt.Fprintf(&b, " %s:%q", h.Key, h.Value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
