package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is a child that runs one job, and says on its standard output how far it is.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string // closed when the child closes its output
	stderr *tail
	began  time.Time
	peak   int64 // bytes, as last seen
}

var errChildEnded = errors.New("the process ended by itself")

// start starts a child. It must be ended by stop or by kill.
func start(ctx context.Context, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, name, args...), lines: make(chan string, 64), stderr: &tail{}, began: time.Now()}
	p.cmd.Stderr = p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the child's output; stop and kill read to its end
		defer close(p.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p, nil
}

// next returns the child's next line.
func (p *process) next(ctx context.Context) (string, error) {
	select {
	case line, ok := <-p.lines:
		if !ok {
			return "", errChildEnded
		}
		return line, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// stop closes the child's input and waits until it has ended. It returns the number of commits that the child names.
func (p *process) stop() (commits int64, err error) {
	if err := p.stdin.Close(); err != nil {
		return 0, errors.Join(err, p.kill())
	}
	named := errors.New("it named no commits at its end")
	for line := range p.lines {
		p.look()
		if s, ok := strings.CutPrefix(line, "end commits="); ok {
			commits, named = parseCount(s)
		}
	}
	return commits, errors.Join(named, p.wait())
}

// drain waits until a child has ended whose input is closed.
func (p *process) drain() error {
	for range p.lines { // so that its reader ends
	}
	return p.wait()
}

// kill ends the child at once.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	for range p.lines { // so that its reader ends
	}
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, ignoreExit(p.cmd.Wait()), p.said())
}

// ignoreExit passes over that a killed process was killed.
func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

func (p *process) wait() error {
	if err := p.cmd.Wait(); err != nil {
		return errors.Join(err, p.said())
	}
	return nil
}

// said returns the end of what the child wrote to its standard error, if it wrote anything.
func (p *process) said() error {
	if text := strings.TrimSpace(string(p.stderr.end)); text != "" {
		return fmt.Errorf("it said:\n%s", text)
	}
	return nil
}

// look notes the child's peak memory. The child may have ended.
func (p *process) look() {
	if peak, err := peakMemory(p.cmd.Process.Pid); err == nil {
		p.peak = max(p.peak, peak)
	}
}

// used is the processor time of all of the child's life, once it has ended.
func (p *process) used() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// tail keeps the end of what is written to it.
type tail struct{ end []byte }

const tailBytes = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.end = append(t.end, b...)
	if len(t.end) > tailBytes {
		t.end = append(t.end[:0], t.end[len(t.end)-tailBytes:]...)
	}
	return len(b), nil
}

// clockTick is the unit of times in /proc/PID/stat.
const clockTick = 10 * time.Millisecond

// cpuTime returns the processor time that a process has used, as Linux tells it.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time of a process, which only Linux tells here: %w", err)
	}
	// The name of the command may hold anything, but ends with the last parenthesis; user and system time are fields 14 and 15.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err1 := parseCount(string(fields[11]))
	system, err2 := parseCount(string(fields[12]))
	return time.Duration(user+system) * clockTick, errors.Join(err1, err2)
}

// peakMemory returns the most bytes that a process has had resident.
func peakMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(b, []byte("VmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0, fmt.Errorf("/proc/%d/status has no VmHWM", pid)
	}
	kb, err := parseCount(string(fields[0]))
	return kb << 10, err
}

func parseCount(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }
