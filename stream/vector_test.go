package stream_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vector is a case recorded from Kafka Streams, see testdata/README.md.
type vector struct {
	Case     string `json:"case"`
	Describe string `json:"describe"`
	Internal []struct {
		Topic      string            `json:"topic"`
		Partitions int32             `json:"partitions"`
		Kind       string            `json:"kind"`
		Config     map[string]string `json:"config"`
	} `json:"internal_topics"`
	Sources []vectorTopic `json:"sources"`
	Sinks   []vectorTopic `json:"sinks"`
	Params  struct{ Size, Advance, Grace, H, Diff, Before, After, Min, Max, Gap, Start, Limit, Bytes, Every int64 }
	Config  map[string]json.RawMessage `json:"config"`
	Runs    []vectorRun                `json:"runs"`
	Entries []vectorEntry              `json:"entries"` // of a bytes- case
	Error   json.RawMessage            `json:"error"`   // of a naming- case that is refused
	Message string                     `json:"message"`
}

type vectorTopic struct{ Topic, Key, Value string }

// vectorRun is one input and what came of it.
type vectorRun struct {
	Name    string
	Cache   string
	Commit  string
	Steps   []vectorStep
	Wall    int64 `json:"wall_start"`
	Dropped int64 `json:"dropped_total"`
	Stores  map[string]json.RawMessage
}

// vectorStep is one input and everything that it caused.
type vectorStep struct {
	Pipe     *vectorRecord
	Wall     *int64
	Commit   bool
	Out      []vectorRecord
	Internal []vectorBytes
	Dropped  int64
	Trace    []string
	Error    json.RawMessage
}

type vectorRecord struct {
	Topic   string       `json:"t"`
	Key     *string      `json:"k"`
	Value   *string      `json:"v"`
	Hex     *string      `json:"vx"` // the value, if it is given as bytes
	Time    int64        `json:"ts"`
	Headers [][2]*string `json:"h"`
}

type vectorBytes struct {
	Topic   string       `json:"t"`
	Key     *string      `json:"kx"`
	Value   *string      `json:"vx"`
	Time    *int64       `json:"ts"`
	Headers [][2]*string `json:"hx"`
}

// vectorDir is where the recorded cases are: testdata, or another folder of the same form.
func vectorDir() string {
	if dir := os.Getenv("MILLRACE_VECTORS"); dir != "" {
		return dir
	}
	return filepath.Join("testdata", "vectors")
}

// vectorNames returns the names of the recorded cases in a folder, sorted.
func vectorNames(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(vectorDir())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(strings.TrimSuffix(e.Name(), ".gz"), ".json")
		if ok && name != "index" {
			names = append(names, name)
		}
	}
	return names
}

// loadVector reads a case.
func loadVector(t testing.TB, name string) vector {
	t.Helper()
	path := filepath.Join(vectorDir(), name+".json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = readGzip(path + ".gz")
	}
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("vector %s: %v", name, err)
	}
	return v
}

func readGzip(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
