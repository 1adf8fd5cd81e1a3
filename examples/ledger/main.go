// Command ledger tests Millrace by force. It feeds transfers between accounts to an application of several instances, kills and
// pauses the instances and the broker while they work, and then recomputes from the log what every topic and every store must
// hold. One wrong byte is a violation, and the exit status 1.
//
//	go run ./examples/ledger -duration 1m -kills 10 -broker-kills 10 -pauses 4
//
// README.md beside it explains the flags, the workload and the oracles.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(mainStatus(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// mainStatus runs what this process is, the driver or one of its children, and returns the exit status: 0 for a run without a
// violation, 1 for one with, 2 for a run that could not be made.
func mainStatus(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := runRole(ctx, os.Getenv(roleEnv), args, stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errViolated):
		return 1
	default:
		_, _ = fmt.Fprintf(stderr, "ledger: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return 2
	}
}
