//go:build unix

package state_test

import (
	"syscall"
	"time"
)

// cpuTime returns the CPU time of the process, or 0 if it is not known: benchmarks whose work goes on in other goroutines
// report it.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
