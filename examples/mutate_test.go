//go:build mutations

package examples_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMutations tries the list: for each row, with its line changed and no other, the cited test must fail; as the code is, it must
// pass. Tests are compiled once for each package, with all mutations that its tests are to notice, and an environment variable
// turns one on: nothing in the tree is touched. It takes two minutes of processor time, so that it is behind a tag:
//
//	go test -tags mutations ./examples -run '^TestMutations$' -count=1 -v
func TestMutations(t *testing.T) {
	byDir := map[string][]mutation{}
	for _, m := range readMutations(t) {
		byDir[m.dir] = append(byDir[m.dir], m)
	}
	for dir, list := range byDir {
		t.Run(dir, func(t *testing.T) { tryMutations(t, dir, list) })
	}
}

func tryMutations(t *testing.T, dir string, list []mutation) {
	binary := compileMutated(t, dir, list)
	sound := map[string]bool{}
	for _, m := range list {
		if !sound[m.test] {
			if out, ok := runMutated(binary, dir, m.test, ""); !ok || !strings.Contains(out, "--- PASS: "+m.test) {
				t.Fatalf("%s does not pass without a mutation:\n%s", m.test, out)
			}
			sound[m.test] = true
		}
		out, ok := runMutated(binary, dir, m.test, m.row)
		if ok || !strings.Contains(out, "--- FAIL: "+m.test) {
			t.Errorf("row %s: %s did not fail, though %s had\n\t%s\nin place of\n\t%s\n%s", m.row, m.test, m.file, m.changed, m.line, out)
			continue
		}
		t.Logf("row %s: %s fails", m.row, m.test)
	}
}

// compileMutated returns the test binary of a package in which the mutations can be turned on.
func compileMutated(t *testing.T, dir string, list []mutation) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	sources, replace := map[string]string{}, map[string]string{}
	for _, m := range list {
		if _, ok := sources[m.file]; !ok {
			sources[m.file] = readSource(t, m.file)
		}
		if sources[m.file], err = m.apply(sources[m.file]); err != nil {
			t.Fatalf("row %s: %v", m.row, err)
		}
		pkg := filepath.Dir(m.file)
		sources[filepath.Join(pkg, "mutated.go")] = fmt.Sprintf(mutatedBy, filepath.Base(pkg))
	}
	for file, src := range sources {
		copied := filepath.Join(scratch, strings.ReplaceAll(file, "/", "+"))
		write(t, copied, []byte(src))
		replace[filepath.Join(root, file)] = copied
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(scratch, "overlay.json"), overlay)
	binary := filepath.Join(scratch, "mutated.test")
	cmd := exec.Command("go", "test", "-c", "-o", binary, "-overlay", filepath.Join(scratch, "overlay.json"), "./"+dir)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return binary
}

// mutatedBy says which mutation is on.
const mutatedBy = `package %s

import "os"

var mutation = os.Getenv("MILLRACE_MUTATION")

func mutatedBy(row string) bool { return mutation == row }
`

// runMutated runs one test with one mutation, or none, and reports whether it passed.
func runMutated(binary, dir, test, row string) (string, bool) {
	pattern := "^" + strings.ReplaceAll(test, "/", "$/^") + "$"
	cmd := exec.Command(binary, "-test.run", pattern, "-test.v", "-test.timeout", "60s")
	cmd.Dir = filepath.Join("..", dir)
	cmd.Env = append(os.Environ(), "MILLRACE_MUTATION="+row)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
