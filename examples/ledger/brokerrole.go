package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/broker"
)

// brokerRole is a broker by itself.
type brokerRole struct {
	Dir    string
	Listen string
}

// closeTimeout bounds the graceful end of a process.
const closeTimeout = 20 * time.Second

// run serves until ctx ends. The line on stdout says that it serves.
func (r *brokerRole) run(ctx context.Context, stdout, stderr io.Writer) error {
	b, err := broker.Open(ctx, broker.Config{
		Dir: r.Dir, Listen: r.Listen,
		Logger: slog.New(slog.NewTextHandler(stderr, nil)),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, "listening on", b.Addr())
	if err == nil {
		<-ctx.Done()
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return errors.Join(err, b.Close(stop))
}
