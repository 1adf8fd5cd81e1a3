// Command flights shows a whole Millrace program on real data: it loads 20,000 flights into a log, enriches them with their
// cities, counts and sums their delays by city and hour and by route, and prints the worst.
//
//	go run ./examples/flights
//
// README.md beside it explains the flags and the ideas.
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
	p := program{names: namesWith(""), every: plainEvery}
	os.Exit(mainStatus(p.run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr))
}

// mainStatus says on stderr, in one line, what went wrong, and returns the exit status.
func mainStatus(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	line := strings.ReplaceAll(err.Error(), "\n", "; ") // errors that were joined
	fmt.Fprint(stderr, "flights: "+line+"\n")
	return 1
}
