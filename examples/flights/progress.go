package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/examples/flights/data"
)

// loading says how far the loading of a log has come. Each transaction of the loader replaces it by the next, beside the
// records that it speaks of: so it is true whenever it can be read.
type loading struct {
	Source   string `json:"source"`   // where the flights come from, in words
	Digest   string `json:"sha256"`   // of the source's bytes
	Total    int64  `json:"total"`    // flights in it
	Airports int    `json:"airports"` // airports written
	Flights  int64  `json:"flights"`  // elements of the source written
}

func (l loading) done() bool { return l.Flights == l.Total }

// loadingKey is the one key of the topic that holds loading records; compaction keeps its last.
const loadingKey = "flights"

// readLoading returns what the log says of an earlier loading; nil if there was none.
func readLoading(ctx context.Context, connect []kgo.Opt, topic string) (*loading, error) {
	table, err := readTable(ctx, connect, topic)
	if err != nil {
		return nil, err
	}
	value, ok := table[loadingKey]
	if !ok {
		return nil, nil
	}
	l := new(loading)
	if err := json.Unmarshal(value, l); err != nil {
		return nil, fmt.Errorf("topic %s holds a record that is not ours: %w", topic, err)
	}
	return l, nil
}

// source is what -data names.
type source struct {
	name string // in words
	open func() (io.ReadCloser, error)
}

func dataSource(file string) source {
	if file == "" {
		return source{name: "the example's own flights", open: data.Flights}
	}
	return source{name: file, open: func() (io.ReadCloser, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("%w: name a file with a JSON array of flights", err)
		}
		return f, nil
	}}
}

// inspect reads the source to its end before anything of it is loaded: a file that is broken in its middle should be refused, and
// not be loaded to the middle. It returns a loading that has not begun.
func (s source) inspect(ctx context.Context) (loading, error) {
	f, err := s.open()
	if err != nil {
		return loading{}, fmt.Errorf("-data: %w", err)
	}
	defer f.Close()
	digest := sha256.New()
	elements := newArrayReader(s.name, io.TeeReader(f, digest))
	var n int64
	for ; ctx.Err() == nil; n++ {
		_, err := elements.Next()
		if errors.Is(err, io.EOF) {
			return loading{Source: s.name, Digest: hex.EncodeToString(digest.Sum(nil)), Total: n}, nil
		}
		if err != nil {
			return loading{}, err
		}
	}
	return loading{}, ctx.Err()
}
