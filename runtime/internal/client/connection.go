package client

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

const (
	// maxAnswerBytes bounds one answer of a broker. A fetch is bounded by its own limits, except for one batch that is
	// larger than them.
	maxAnswerBytes = 128 << 20
	// requestTimeout bounds how long the library below tries one request by itself.
	requestTimeout = 15 * time.Second
)

// options are what every connection to the log is made with. versions may be nil: the library's own.
func (cfg *Config) options(versions *kversion.Versions) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID(cfg.ClientID),
		kgo.WithLogger(kgoLogger{cfg.Logger}),
		kgo.DisableClientMetrics(),
		kgo.BrokerMaxReadBytes(maxAnswerBytes),
		kgo.RetryTimeout(requestTimeout),
		kgo.RetryBackoffFn(backoff),
	}
	if dial := cfg.dialer(); dial != nil {
		opts = append(opts, kgo.Dialer(dial))
	}
	if cfg.SASL != nil {
		opts = append(opts, kgo.SASL(cfg.SASL))
	}
	if versions != nil {
		opts = append(opts, kgo.MaxVersions(versions))
	}
	return opts
}

// dialer returns the function that makes connections, nil for the library's own.
func (cfg *Config) dialer() func(context.Context, string, string) (net.Conn, error) {
	if cfg.TLS == nil {
		return cfg.Dial
	}
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := cfg.TLS
		if c.ServerName == "" {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			c = c.Clone()
			c.ServerName = host
		}
		secure := tls.Client(conn, c)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return secure, nil
	}
}

// kgoLogger passes the library's warnings on. What it calls errors heal themselves or come back as errors of requests.
type kgoLogger struct{ log *slog.Logger }

// Level implements kgo.Logger.
func (kgoLogger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log implements kgo.Logger.
func (l kgoLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	l.log.Log(context.Background(), slog.LevelDebug, msg, keyvals...)
}
