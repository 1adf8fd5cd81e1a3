//go:build !unix

package commitlog

import "time"

func cpuTime() time.Duration { return 0 }
