package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/broker"
)

// drainTimeout bounds how long requests in flight may take when the broker stops.
const drainTimeout = 10 * time.Second

func brokerCommand() command {
	return command{
		name: "broker", args: "-dir DIR [-config FILE] [flags]",
		line: "run a broker",
		text: `
Runs a broker on a data directory, which is created if it is missing. It prints one line with the address that it listens on, and logs to
standard error. It stops on SIGINT or SIGTERM once the requests in flight are answered; a second signal stops it at once. What is
acknowledged is on disk either way.

A configuration file has a flag in each line, as "name = value" without the dash; lines that begin with # are left out. What the command
line says counts more.

  millrace broker -dir /var/lib/millrace
  kcat -b 127.0.0.1:9092 -L

It listens on a loopback address unless clients have to say who they are:

  millrace broker -dir /var/lib/millrace -listen :9093 -advertise log.example.com:9093 -tls-cert log.pem -tls-key log.key \
      -sasl SCRAM-SHA-512 -users users.txt -authorize -super-user User:admin
`,
		flags: func(fs *flag.FlagSet) action {
			read := brokerFlags(fs)
			return func(ctx context.Context, args []string, to streams) error {
				cfg, err := read(args)
				if err != nil {
					return err
				}
				cfg.Logger = slog.New(slog.NewTextHandler(to.err, nil))
				return runBroker(ctx, cfg, to)
			}
		},
	}
}

func runBroker(ctx context.Context, cfg broker.Config, to streams) error {
	b, err := broker.Open(ctx, cfg)
	if err != nil {
		return err
	}
	orders := serveControl(b, cfg.Dir, cfg.Logger)
	_, err = fmt.Fprintf(to.out, "listening on %s\n", b.Addr())
	if err == nil {
		select {
		case <-ctx.Done():
		case <-b.Failed(): // Close returns the error
		}
	}
	orders.close()
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	cerr := b.Close(drain)
	select {
	case <-b.Failed():
	default:
		if errors.Is(cerr, context.DeadlineExceeded) {
			cerr = nil // requests that took too long were cut off, and the log is whole
		}
	}
	return errors.Join(err, cerr)
}
