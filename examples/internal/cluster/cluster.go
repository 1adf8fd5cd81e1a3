package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
)

// reachTimeout bounds the first contact with a log that -brokers names, so that a wrong address is an answer and not a
// silence.
const reachTimeout = 10 * time.Second

// Log is an open log and the directory that belongs to it.
type Log struct {
	Brokers []string
	// Dial connects to the embedded broker. It is nil where Brokers are addresses on the network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Dir is the data directory. The embedded broker uses "log" below it, the runtime may have StateDir.
	Dir string

	embedded *broker.Broker
	lock     *flock.Flock
	remove   bool // Dir is temporary
}

// Open opens the log that f asks for. The caller closes it. Errors say what to do about them.
func (f *Flags) Open(ctx context.Context, logger *slog.Logger) (*Log, error) {
	l := &Log{Dir: f.Dir, Brokers: f.seeds()}
	if err := l.makeDir(); err != nil {
		return nil, err
	}
	open := l.openEmbedded
	if len(l.Brokers) > 0 {
		open = l.reach
	}
	// The lock comes first: whoever does not get it must not touch the log either, where it would shut the other out.
	err := l.lockDir()
	if err == nil {
		err = open(ctx, logger)
	}
	if err != nil {
		return nil, errors.Join(err, l.release())
	}
	return l, nil
}

// StateDir is the directory for the runtime's state.
func (l *Log) StateDir() string { return filepath.Join(l.Dir, "state") }

// ClientOptions returns the options that connect a client of one's own to the log.
func (l *Log) ClientOptions() []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(l.Brokers...)}
	if l.Dial != nil {
		opts = append(opts, kgo.Dialer(l.Dial))
	}
	return opts
}

// Close closes the embedded broker, if there is one, and removes a temporary directory.
func (l *Log) Close(ctx context.Context) error {
	var err error
	if l.embedded != nil {
		err = l.embedded.Close(ctx)
	}
	return errors.Join(err, l.release())
}

func (l *Log) makeDir() error {
	if l.Dir == "" {
		dir, err := os.MkdirTemp("", "millrace-")
		if err != nil {
			return fmt.Errorf("make a temporary directory: %w", err)
		}
		l.Dir, l.remove = dir, true
		return nil
	}
	err := os.MkdirAll(l.Dir, 0o755)
	if errors.Is(err, fs.ErrExist) || isNotDir(l.Dir) {
		return fmt.Errorf("-dir %s is not a directory: name another", l.Dir)
	}
	if err != nil {
		return fmt.Errorf("make -dir: %w", err)
	}
	return nil
}

func isNotDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && !st.IsDir()
}

func (l *Log) lockDir() error {
	l.lock = flock.New(filepath.Join(l.Dir, "lock"))
	locked, err := l.lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock -dir: %w", err)
	}
	if !locked {
		return l.inUse()
	}
	return nil
}

func (l *Log) inUse() error {
	return fmt.Errorf("-dir %s is in use by another process: stop that one, or name another directory", l.Dir)
}

// release gives the directory back, and removes a temporary one.
func (l *Log) release() error {
	err := l.lock.Unlock()
	if l.remove {
		err = errors.Join(err, os.RemoveAll(l.Dir))
	}
	return err
}

func (l *Log) openEmbedded(ctx context.Context, logger *slog.Logger) error {
	b, err := broker.Open(ctx, broker.Config{Dir: filepath.Join(l.Dir, "log"), Logger: logger})
	if errors.Is(err, broker.ErrLocked) {
		return l.inUse()
	}
	if err != nil {
		return fmt.Errorf("open the broker in %s: %w", l.Dir, err)
	}
	l.embedded, l.Brokers, l.Dial = b, b.Brokers(), b.Dial
	return nil
}

// reach asks the log at -brokers for an answer, any answer.
func (l *Log) reach(ctx context.Context, _ *slog.Logger) error {
	for _, addr := range l.Brokers {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("-brokers: %q is not host:port", addr)
		}
	}
	cl, err := kgo.NewClient(l.ClientOptions()...)
	if err != nil {
		return fmt.Errorf("-brokers %s: %w", strings.Join(l.Brokers, ","), err)
	}
	defer cl.Close()
	reachCtx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := cl.Ping(reachCtx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("no Kafka broker answers at %s (%w): start one there, or leave -brokers out to use the embedded one",
			strings.Join(l.Brokers, ","), err)
	}
	return nil
}
