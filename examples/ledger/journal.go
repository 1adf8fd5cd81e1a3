package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

// The journal is what a feeder knows of its own operations, kept outside the system under test: one line for each step.

// outcome is how a step ended.
type outcome string

const (
	sent      outcome = "sent"    // it is about to be sent
	acked     outcome = "acked"   // it was acknowledged, at Partition and Offset
	refused   outcome = "refused" // it was not, and never will be
	lost      outcome = "lost"    // nobody knows
	committed outcome = "commit"  // the batch was committed
	aborted   outcome = "abort"   // the batch was aborted, on purpose
	unclear   outcome = "unclear" // nobody knows how the batch ended
)

// step is one line of the journal: of a record, or of a batch of records.
type step struct {
	Outcome   outcome
	ID        string `json:",omitempty"` // of the record
	Batch     string `json:",omitempty"`
	Size      int    `json:",omitempty"` // of the batch
	Kind      string `json:",omitempty"`
	Digest    string `json:",omitempty"`
	Partition int32  `json:",omitempty"`
	Offset    int64  `json:",omitempty"`
}

// journal appends steps to a file. It may be used by several goroutines.
type journal struct {
	mu   sync.Mutex
	file *os.File
	err  error // the first
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &journal{file: f}, nil
}

// add writes a step at once, for the process may be killed.
func (j *journal) add(s step) {
	b, err := json.Marshal(s)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		_, err = j.file.Write(append(b, '\n'))
	}
	if err != nil && j.err == nil {
		j.err = fmt.Errorf("journal: %w", err)
	}
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.file.Close(); j.err == nil {
		j.err = err
	}
	return j.err
}

// readJournal returns the steps in a journal, in order. A line that a kill has cut off is left out.
func readJournal(path string) ([]step, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	var steps []step
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var s step
		if json.Unmarshal(lines.Bytes(), &s) == nil {
			steps = append(steps, s)
		}
	}
	return steps, lines.Err()
}
