//go:build !linux

package main

import "os"

// maxRSS returns 0: the unit differs from system to system.
func maxRSS(*os.ProcessState) int64 { return 0 }
