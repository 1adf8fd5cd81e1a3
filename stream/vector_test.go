package stream_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// vector is a case recorded from Kafka Streams, see testdata/README.md.
type vector struct {
	Case     string `json:"case"`
	Describe string `json:"describe"`
	Internal []struct {
		Topic string `json:"topic"`
	} `json:"internal_topics"`
	Sources []vectorTopic `json:"sources"`
	Sinks   []vectorTopic `json:"sinks"`
	Params  struct{ Size, Advance, Grace int64 }
	Runs    []vectorRun `json:"runs"`
}

type vectorTopic struct{ Topic, Key, Value string }

// vectorRun is one input and what came of it.
type vectorRun struct {
	Name    string
	Cache   string
	Commit  string
	Steps   []vectorStep
	Dropped int64 `json:"dropped_total"`
	Stores  map[string][][]any
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
	Topic string  `json:"t"`
	Key   *string `json:"kx"`
	Value *string `json:"vx"`
	Time  int64   `json:"ts"`
}

// loadVector reads a case from testdata.
func loadVector(t testing.TB, name string) vector {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors", name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.NewDecoder(z).Decode(&v); err != nil {
		t.Fatalf("vector %s: %v", name, err)
	}
	return v
}
