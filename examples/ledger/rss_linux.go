package main

import (
	"os"
	"syscall"
)

// maxRSS returns the most memory that an ended process has had at once, in bytes.
func maxRSS(s *os.ProcessState) int64 {
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss << 10 // Linux counts in KiB
	}
	return 0
}
