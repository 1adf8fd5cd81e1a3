package broker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"

	"github.com/millrace-io/millrace/broker/internal/api"
	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/group"
	"github.com/millrace-io/millrace/broker/internal/server"
)

// inProcess is the address that in-process clients are given. Dial is the only one who knows what it means.
const inProcess = "millrace.in-process:9092"

// Broker is a running broker. Open makes one; its methods may be called from any goroutine.
type Broker struct {
	cfg      Config
	log      *commitlog.Log
	coord    *coordinator.Coordinator
	server   *server.Server
	listener net.Listener // nil without Config.Listen
	draining chan struct{}
	meters   *meters // nil without Config.Metrics

	close struct {
		sync.Once
		err error
	}
}

// Open opens or creates the data directory, recovers what it holds and starts serving. It returns when the broker
// answers. ctx bounds the recovery only: a broker that is open stays open until Close.
//
// The error wraps ErrLocked if the directory is in use, and names what to do; it wraps a *CorruptionError if acknowledged
// data is damaged.
func Open(ctx context.Context, cfg Config) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	b := &Broker{cfg: cfg, draining: make(chan struct{})}
	var err error
	if cfg.Listen != "" {
		// Before the recovery: clients that come back meanwhile wait in the queue of the socket, instead of being refused.
		if b.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
	if cfg.Metrics != nil {
		b.meters = &meters{}
	}
	b.coord = coordinator.New(cfg.Now, group.Config{
		Heartbeat: cfg.GroupHeartbeatInterval, Session: cfg.GroupSessionTimeout, Migration: group.Migration(cfg.GroupMigration),
	}, cfg.Logger)
	b.log, err = commitlog.Open(ctx, commitlog.Config{
		FS: cfg.FS, Dir: cfg.Dir, Durability: commitlog.Durability(cfg.Durability),
		RetentionInterval: cfg.RetentionInterval, CompactionInterval: cfg.CompactionInterval, CompactionBytes: cfg.CompactionBytes,
		ReserveBytes: cfg.ReserveBytes, Now: cfg.Now, Logger: cfg.Logger,
	}, b.coord.Machines())
	if err != nil {
		if b.listener != nil {
			_ = b.listener.Close() // nobody was served; why the log did not open is the error
		}
		return nil, fmt.Errorf("broker: open: %w", err) // names the directory or file
	}
	b.start()
	if err := b.addUsers(ctx); err != nil {
		if b.listener != nil {
			_ = b.listener.Close() // as above
		}
		return nil, fmt.Errorf("broker: add users: %w", errors.Join(err, b.Close(ctx)))
	}
	if err := b.register(); err != nil {
		if b.listener != nil {
			_ = b.listener.Close() // as above
		}
		return nil, fmt.Errorf("broker: metrics: %w", errors.Join(err, b.Close(ctx)))
	}
	b.serve()
	cfg.Logger.Info("broker open", "dir", cfg.Dir, "addresses", b.Brokers(), "durability", cfg.Durability.String(), "topics", len(b.log.Topics()))
	return b, nil
}

// start starts every goroutine of the broker but the listener's; Close stops them.
func (b *Broker) start() {
	b.coord.Start(b.log)
	if b.cfg.OffsetsRetention > 0 {
		b.coord.RetainOffsets(b.cfg.OffsetsRetention, b.cfg.OffsetsRetentionInterval)
	}
	sec := &b.cfg.Security
	handler := api.New(api.Config{
		AutoCreateTopics: b.cfg.AutoCreateTopics, DefaultPartitions: b.cfg.DefaultPartitions, OffsetsRetention: b.cfg.OffsetsRetention,
		GroupHeartbeatInterval: b.cfg.GroupHeartbeatInterval, GroupSessionTimeout: b.cfg.GroupSessionTimeout, GroupMigration: b.cfg.GroupMigration.String(),
		Rack: b.cfg.Rack, MaxRequestBytes: b.cfg.MaxRequestBytes, Draining: b.draining, Now: b.cfg.Now,
		Mechanisms: sec.Mechanisms, SessionLifetime: sec.SessionLifetime,
		Authorize: sec.Authorize, SuperUsers: sec.superUsers(), AllowIfNoACL: sec.AllowIfNoACL,
	}, b.log, b.coord)
	var observer server.Observer
	if b.meters != nil {
		observer = b.meters
	}
	b.server = server.New(server.Config{
		Observer: observer,
		Handler:  handler, MaxConnections: b.cfg.MaxConnections, MaxRequestBytes: b.cfg.MaxRequestBytes,
		MaxInFlightBytes: b.cfg.MaxInFlightBytes, Logger: b.cfg.Logger, TLS: sec.TLS,
		MaxPerAddress: limit(sec.MaxConnectionsPerAddress, 100), RatePerAddress: limit(sec.MaxConnectionRate, 20),
	})
}

// serve begins to accept.
func (b *Broker) serve() {
	if b.listener != nil {
		b.server.Serve(b.listener, b.advertised())
	}
}

// advertised is the address that TCP clients are told to come back to.
func (b *Broker) advertised() string {
	if b.cfg.Advertise != "" {
		return b.cfg.Advertise
	}
	a, ok := b.listener.Addr().(*net.TCPAddr)
	if ok && a.IP.IsUnspecified() {
		return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: a.Port}).String()
	}
	return b.listener.Addr().String()
}

// Brokers returns the addresses to give to a client: the TCP address if the broker listens, else a placeholder that
// means something to Dial only. With Dial both work.
func (b *Broker) Brokers() []string {
	if b.listener != nil {
		return []string{b.advertised()}
	}
	return []string{inProcess}
}

// Dial returns a new connection to the broker inside the process, whatever network and addr say, so that it can stand
// in for a net.Dialer's DialContext. Deadlines work; a client that stops reading holds up nobody else.
// It returns an error that wraps ErrClosed after Close.
func (b *Broker) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	client, remote := net.Pipe()
	switch err := b.server.ServeConn(remote, inProcess); {
	case err == nil:
		return client, nil
	case errors.Is(err, net.ErrClosed):
		return nil, &net.OpError{Op: "dial", Net: network, Err: ErrClosed}
	default:
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
}

// Addr returns the TCP address that is listened on, or nil.
func (b *Broker) Addr() net.Addr {
	if b.listener == nil {
		return nil
	}
	return b.listener.Addr()
}

// Failed is closed when a write or sync of the journal has failed. From then on nothing is written and every produce is
// refused with KAFKA_STORAGE_ERROR; reading goes on. A sync that failed is never tried again, since the disk may have
// dropped what it should have kept: mend the cause, then Close and Open. Err says what failed.
func (b *Broker) Failed() <-chan struct{} { return b.log.Stopped() }

// Err returns why the broker has failed, or nil.
func (b *Broker) Err() error { return b.log.Err() }

// Verify reads everything that is in segments and checks it: checksums, the fields that they do not cover, the order of offsets, and
// that indexes say what segments hold. It runs beside serving, and reads at the speed of the disk. It goes on after a fault: the error
// joins all of them, each a *CorruptionError. ctx ends it early, with ctx's error; after Close the error wraps ErrClosed.
func (b *Broker) Verify(ctx context.Context) error {
	err := b.log.Verify(ctx)
	if errors.Is(err, commitlog.ErrClosed) {
		return fmt.Errorf("verify %s: %w", b.cfg.Dir, ErrClosed)
	}
	return err
}

// Backup copies everything to a new directory, beside serving: one moment's state of topics, transactions and groups, with all that was
// acknowledged before the call. What it leaves is a data directory to be opened like any other, closed in order; it appears whole or
// not at all. The disk needs room for the copy, and for what topics would have dropped meanwhile. dir must not exist, nor lie within
// the data directory.
//
// The error wraps fs.ErrExist if dir is there, ErrClosed after Close, or ctx's error.
func (b *Broker) Backup(ctx context.Context, dir string) error {
	err := b.log.Backup(ctx, dir)
	switch {
	case errors.Is(err, commitlog.ErrClosed):
		return fmt.Errorf("backup of %s: %w", b.cfg.Dir, ErrClosed)
	case errors.Is(err, commitlog.ErrExists):
		return fmt.Errorf("broker: %w (%w)", err, fs.ErrExist)
	case err != nil:
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}

// Close stops accepting, lets requests in flight be answered until ctx ends, closes the connections and the log, and
// gives the directory back. Requests that wait for other clients, in a rebalance or for records, end at once. Further
// calls return the same error.
func (b *Broker) Close(ctx context.Context) error {
	b.close.Do(func() {
		close(b.draining)
		uerr := b.meters.unregister()
		b.coord.Close()
		serr := b.server.Shutdown(ctx)
		if err := errors.Join(uerr, serr, b.log.Close()); err != nil {
			b.close.err = fmt.Errorf("broker: close %s: %w", b.cfg.Dir, err)
		}
		b.cfg.Logger.Info("broker closed", "dir", b.cfg.Dir)
	})
	return b.close.err
}
