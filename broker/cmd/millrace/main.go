// Command millrace runs the broker by itself, and looks after its data:
//
//	millrace broker      run a broker
//	millrace backup      copy a data directory, also of a running broker
//	millrace verify      check a data directory that nobody has open
//	millrace dump        show what is in the files of a data directory
//	millrace completion  print a shell's completion script
//
// millrace help COMMAND says more. Results go to standard output, logs and errors to standard error. The exit status is 0, or 1 with one
// line that says why the command could not do what it was asked, or 2 for wrong arguments.
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
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "millrace:", err)
	}
	os.Exit(status(err))
}

func status(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	return 1
}

// run is main without the process: it returns when the command is done, or ctx has ended and everything is closed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return usageError{"name a command; millrace help lists them"}
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return help(args[1:], stdout)
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], streams{stdout, stderr})
		}
	}
	return usageError{fmt.Sprintf("there is no command %q; millrace help lists them", args[0])}
}
