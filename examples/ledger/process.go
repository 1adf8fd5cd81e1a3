package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// process is a child of the driver: this program in another role.
type process struct {
	name   string
	cmd    *exec.Cmd
	orders io.WriteCloser
	log    string        // path of what it writes to stdout and stderr
	exited chan struct{} // closed when it has ended and was waited for
	err    error         // of Wait, once it has ended
}

// start starts a child. Its output is appended to a file of its name below dir.
func (r *role) start(name, dir string) (*process, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p := &process{name: name, cmd: exec.Command(self), log: filepath.Join(dir, name+".log"), exited: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the child has its own
	p.cmd.Env = append(os.Environ(), roleEnv+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if p.orders, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the process; kill and stop wait for it
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// order hands an order over. A process that has just died does not take it, which its owner finds out soon enough.
func (p *process) order(o order) {
	if b, err := json.Marshal(o); err == nil {
		_, _ = p.orders.Write(append(b, '\n'))
	}
}

// gone reports whether the process has ended.
func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// within waits until the process has ended, or false.
func (p *process) within(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.exited:
		return true
	case <-t.C:
		return false
	}
}

// killed reports whether the process, which has ended, was killed by SIGKILL and did not end by itself.
func (p *process) killed() bool {
	var exit *exec.ExitError
	return errors.As(p.err, &exit) && !exit.Exited()
}

// kill ends the process as a crash would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails if it has ended
	<-p.exited
}

// stop ends the process in order.
func (p *process) stop() error {
	if err := signalEnd(p.pid()); err != nil && !p.gone() {
		return err
	}
	if !p.within(stopTimeout) {
		p.kill()
		return fmt.Errorf("%s does not stop within %v", p.name, stopTimeout)
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w: %s", p.name, p.err, p.lastWords())
	}
	return nil
}

// stopTimeout is longer than every time-out inside a process.
const stopTimeout = 45 * time.Second

// lastWords returns the last lines of the process's log, in one.
func (p *process) lastWords() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}
