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

	mu struct {
		sync.Mutex
		line string    // drawn on the terminal now
		at   time.Time // of the last plain line
	}
}

// How often progress is shown.
const (
	drawEvery  = 100 * time.Millisecond
	plainEvery = time.Second
)

const clearLine = "\r\x1b[K"

func newConsole(w io.Writer) *console {
	c := &console{w: w}
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
	_, err := fmt.Fprintf(c.w, "%s%s%s", clearLine, p, c.mu.line)
	return len(p), err
}

// progress shows how far the example is. An error of the terminal is no reason to stop.
func (c *console) progress(now time.Time, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.terminal {
		c.mu.line = line
		_, _ = fmt.Fprint(c.w, clearLine, line)
		return
	}
	if now.Sub(c.mu.at) >= plainEvery {
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
