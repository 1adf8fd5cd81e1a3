package client

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Bounds of the wait between two tries.
const (
	firstBackoff = 10 * time.Millisecond
	maxBackoff   = time.Second
)

// backoff returns how long to wait after the given number of failed tries, 1 at first.
func backoff(tries int) time.Duration {
	return min(firstBackoff<<min(max(tries-1, 0), 10), maxBackoff)
}

// settling is how long to wait while the coordinator still completes the transaction before: it takes a few milliseconds, so
// the first tries are quick.
func settling(tries int) time.Duration {
	return min(time.Millisecond<<min(max(tries-1, 0), 10), 50*time.Millisecond)
}

// waitAfter returns how long to wait after the given number of tries, the last of which ended with err.
func waitAfter(tries int, err error) time.Duration {
	if errors.Is(err, kerr.ConcurrentTransactions) {
		return settling(tries)
	}
	return backoff(tries)
}

// pause waits, or returns the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retry calls try until it returns nil, an error that is not ClassRetry, or ctx ends. The last error is returned then: it says
// more than the context's. A topic that is missing may be about to be created, but not for ever: missingTimeout after the log has first said so,
// if it has said nothing else since. A log that comes back after an outage may not know all of its topics at once.
func retry(ctx context.Context, try func() error) error {
	var missing time.Time
	for tries := 1; ; tries++ {
		err := try()
		if err == nil || ClassOf(err) != ClassRetry || ctx.Err() != nil {
			return err
		}
		switch {
		case !errors.Is(err, kerr.UnknownTopicOrPartition):
			missing = time.Time{}
		case missing.IsZero():
			missing = time.Now()
		case time.Since(missing) > missingTimeout:
			return withClass(err, ClassFatal)
		}
		if pause(ctx, waitAfter(tries, err)) != nil {
			return err
		}
	}
}
