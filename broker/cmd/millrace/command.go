package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/millrace-io/millrace/broker/internal/inspect"
)

// errUsage is wrapped by errors about arguments.
var errUsage = errors.New("wrong usage")

// usageError is an error about arguments, in one line.
type usageError struct{ text string }

// Error implements error.
func (e usageError) Error() string { return e.text }

// Unwrap returns errUsage.
func (e usageError) Unwrap() error { return errUsage }

// streams are where a command writes.
type streams struct{ out, err io.Writer }

// action is what a command does once its flags are read. args are what is left.
type action func(ctx context.Context, args []string, to streams) error

// command is one of millrace's commands.
type command struct {
	name string
	args string // what comes after the name
	line string // what it does, in a line
	text string // the rest of it
	// flags defines the command's flags, and returns what to do once they are set.
	flags func(*flag.FlagSet) action
}

// commands returns all commands, in the order in which help lists them.
func commands() []command {
	return []command{brokerCommand(), backupCommand(), verifyCommand(), dumpCommand(), completionCommand()}
}

// flagSet returns the flags, and the action that reads them.
func (c command) flagSet() (*flag.FlagSet, action) {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // an error is one line, and help is asked for
	return fs, c.flags(fs)
}

func (c command) run(ctx context.Context, args []string, to streams) error {
	fs, do := c.flagSet()
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return c.help(to.out)
	case err != nil:
		return usageError{fmt.Sprintf("%s: %v", c.name, err)}
	}
	err := do(ctx, fs.Args(), to)
	if errors.Is(err, errUsage) {
		return usageError{c.name + ": " + err.Error()}
	}
	return err
}

// help writes all that there is to say about the command.
func (c command) help(w io.Writer) error {
	fs, _ := c.flagSet()
	var b strings.Builder
	fmt.Fprintf(&b, "usage: millrace %s %s\n\n%s\n", c.name, c.args, strings.TrimSpace(c.text))
	fs.SetOutput(&b)
	if defined(fs) {
		b.WriteString("\nFlags:\n")
		fs.PrintDefaults()
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func defined(fs *flag.FlagSet) (any bool) {
	fs.VisitAll(func(*flag.Flag) { any = true })
	return any
}

// help writes about one command, or lists all.
func help(args []string, w io.Writer) error {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.help(w)
			}
		}
		return usageError{fmt.Sprintf("there is no command %q; millrace help lists them", args[0])}
	}
	var b strings.Builder
	b.WriteString("Millrace's broker: a durable log on one machine that speaks the Kafka protocol.\n\nusage: millrace COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-11s %s\n", c.name, c.line)
	}
	b.WriteString("\nmillrace help COMMAND says more.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// outputFlag defines -o. The function that it returns is for after the flags were read.
func outputFlag(fs *flag.FlagSet) func(io.Writer) (func(inspect.Item) error, error) {
	format := fs.String("o", "text", "output `format`: text, or json with one object a line")
	return func(w io.Writer) (func(inspect.Item) error, error) {
		switch *format {
		case "text":
			return inspect.Text(w), nil
		case "json":
			return inspect.JSON(w), nil
		}
		return nil, usageError{fmt.Sprintf("-o %q is neither text nor json", *format)}
	}
}
