// Command millrace runs the broker by itself:
//
//	millrace broker -dir DIR [-listen ADDR] [-advertise ADDR] [-durability sync|async] [-auto-create] [-partitions N]
//	                [-max-connections N] [-max-request-bytes N] [-max-in-flight-bytes N]
//
// It prints one line with the address that it listens on, logs to standard error, and stops on SIGINT or SIGTERM once the
// requests in flight are answered; a second signal stops it at once. It exits with 1, and one line that says why, if it
// cannot do what it was asked.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // after the first signal the next one has its usual effect
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "millrace:", err)
		os.Exit(1)
	}
}

const usage = "usage: millrace broker -dir DIR [-listen ADDR]; millrace broker -h lists the flags"

// run is main without the process: it returns when ctx has ended and everything is closed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 || args[0] != "broker" {
		return errors.New(usage)
	}
	return runBroker(ctx, args[1:], stdout, stderr)
}
