package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// console is where a person looks while the example runs: log lines, and how far it is. On a terminal the progress is one line
// that is drawn again and again below the log lines; elsewhere it is a line of its own now and then.
type console struct {
	w        io.Writer
	terminal bool
	every    time.Duration // between two plain lines

	mu struct {
		sync.Mutex
		line string    // drawn on the terminal now
		at   time.Time // of the last plain line
	}
}

// How often progress is looked at, and how often it is written where there is no terminal.
const (
	drawEvery  = 100 * time.Millisecond
	plainEvery = time.Second
)

// Terminal sequences. A line that is longer than the terminal is cut off, since a second line could not be drawn over.
const (
	clearLine = "\r\x1b[K"
	cutLines  = "\x1b[?7l"
	wrapLines = "\x1b[?7h"
)

func newConsole(w io.Writer, every time.Duration) *console {
	c := &console{w: w, every: every}
	if f, ok := w.(*os.File); ok {
		st, err := f.Stat()
		c.terminal = err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	}
	return c
}

// Write writes a log line.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.line == "" {
		return c.w.Write(p)
	}
	_, err := fmt.Fprint(c.w, clearLine, string(p), cutLines, c.mu.line, wrapLines)
	return len(p), err
}

// progress shows how far the example is. An error of the terminal is no reason to stop.
func (c *console) progress(now time.Time, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.terminal {
		c.mu.line = line
		_, _ = fmt.Fprint(c.w, clearLine, cutLines, line, wrapLines)
		return
	}
	if now.Sub(c.mu.at) >= c.every {
		c.mu.at = now
		_, _ = fmt.Fprintln(c.w, line)
	}
}

// clear takes the progress line away.
func (c *console) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.line != "" {
		c.mu.line = ""
		_, _ = fmt.Fprint(c.w, clearLine)
	}
}
