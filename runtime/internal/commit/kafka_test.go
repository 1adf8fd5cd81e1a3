package commit

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kafkaMetadata reads the recorded metadata of offsets, see stream/testdata/README.md: from the folder that MILLRACE_VECTORS names, or
// from the project's own.
func kafkaMetadata(t *testing.T) []byte {
	t.Helper()
	dir := os.Getenv("MILLRACE_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "stream", "testdata", "vectors")
	}
	path := filepath.Join(dir, "bytes-offset-metadata.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err := os.Open(path + ".gz")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
		return b
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKafkaMetadata compares the metadata of offsets with what Kafka Streams commits, in both directions (R-15, D-88).
func TestKafkaMetadata(t *testing.T) {
	t.Parallel()
	var file struct {
		Entries []struct {
			Format     string
			Time       int64 `json:"partition_time"`
			Processors map[string]int64
			Metadata   json.RawMessage
		}
	}
	if err := json.Unmarshal(kafkaMetadata(t), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Entries) == 0 {
		t.Fatal("no entries")
	}
	for i, e := range file.Entries {
		if e.Format != "offset metadata" {
			if !strings.HasPrefix(e.Format, "last commit while processing one record of ") {
				t.Errorf("entry %d: nothing stands for the format %q", i, e.Format)
			}
			var byPartition map[string]string
			if err := json.Unmarshal(e.Metadata, &byPartition); err != nil {
				t.Fatal(err)
			}
			for partition, text := range byPartition {
				rewrite(t, partition, text)
			}
			continue
		}
		var text string
		if err := json.Unmarshal(e.Metadata, &text); err != nil {
			t.Fatal(err)
		}
		want := Metadata{PartitionTime: e.Time, Times: e.Processors}
		if got, err := DecodeMetadata(text); err != nil || got.PartitionTime != want.PartitionTime || !maps.Equal(got.Times, known(want.Times)) {
			t.Errorf("entry %d: %s is read as %+v, %v, want %+v", i, text, got, err, want)
		}
		if len(e.Processors) > 1 {
			compareSets(t, want, text)
		} else if got, left := want.Encode(); got != text || left > 0 {
			t.Errorf("entry %d: %+v is written as %s, want %s", i, want, got, text)
		}
	}
}

// rewrite reads metadata of Kafka Streams' and writes it again: it must be the same, but for the order of several processors.
func rewrite(t *testing.T, partition, text string) {
	t.Helper()
	m, err := DecodeMetadata(text)
	if err != nil {
		t.Errorf("%s: %v", partition, err)
		return
	}
	if len(m.Times) > 1 {
		compareSets(t, m, text)
	} else if got, _ := m.Encode(); got != text {
		t.Errorf("%s: %s is read as %+v, and written as %s", partition, text, m, got)
	}
}

// known leaves out what is no time: Millrace does not take it over.
func known(times map[string]int64) map[string]int64 {
	m := maps.Clone(times)
	maps.DeleteFunc(m, func(_ string, at int64) bool { return at < 0 })
	return m
}

// compareSets compares metadata with several processors, whose order is Java's hash order: the bytes are the same, in another order.
func compareSets(t *testing.T, m Metadata, text string) {
	t.Helper()
	ours, _ := m.Encode()
	a, err := base64.StdEncoding.DecodeString(ours)
	if err != nil {
		t.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != len(b) || counts(a) != counts(b) {
		t.Errorf("%+v is written as %s, want the entries of %s", m, ours, text)
	}
}

func counts(b []byte) (n [256]int) {
	for _, c := range b {
		n[c]++
	}
	return n
}
