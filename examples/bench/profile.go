package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

// profile writes profiles of one job into a directory: <job>.cpu while it runs, and <job>.allocs of everything since the process
// began.
type profile struct {
	dir, job string
	cpu      *os.File
}

// startProfile begins a profile. Without a directory it does nothing, nor does its stop.
func startProfile(dir, job string) (p *profile, err error) {
	p = &profile{dir: dir, job: job}
	if dir == "" {
		return p, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if p.cpu, err = os.Create(filepath.Join(dir, job+".cpu")); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(p.cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), p.cpu.Close())
	}
	return p, nil
}

// stop ends the profile and writes it.
func (p *profile) stop() error {
	if p.cpu == nil {
		return nil
	}
	pprof.StopCPUProfile()
	err := p.cpu.Close()
	runtime.GC() // the profile of allocations is as of the last collection
	f, e := os.Create(filepath.Join(p.dir, p.job+".allocs"))
	if e != nil {
		return errors.Join(err, e)
	}
	return errors.Join(err, pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}
