package client

import (
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxThrottle bounds for how long a node is left alone. A quota of a few KiB a second may ask for minutes; what asks for longer is asked again
// all the same.
const maxThrottle = 5 * time.Minute

// throttleNotice is how often it is said that a log holds a client back.
const throttleNotice = time.Minute

// throttle knows until when a node is not to be asked: an answer that says how long its client has used up its quota for comes at once, and
// the client waits (KIP-219). The library below does so for each connection, as long as that lives, with the request in its hands; here the
// request is not made before, so that it does not grow old there, and has all in it that has come meanwhile.
type throttle struct {
	log *slog.Logger

	mu struct {
		sync.Mutex
		until map[int32]time.Time // by node
		said  time.Time
	}
}

func newThrottle(log *slog.Logger) *throttle {
	t := &throttle{log: log}
	t.mu.until = make(map[int32]time.Time)
	return t
}

// OnBrokerThrottle implements kgo.HookBrokerThrottle. A broker that is older than Kafka 2.0 has waited itself.
func (t *throttle) OnBrokerThrottle(node kgo.BrokerMetadata, d time.Duration, toWait bool) {
	now := time.Now()
	t.mu.Lock()
	if until := now.Add(min(d, maxThrottle)); toWait && until.After(t.mu.until[node.NodeID]) {
		t.mu.until[node.NodeID] = until
	}
	say := now.Sub(t.mu.said) >= throttleNotice
	if say {
		t.mu.said = now
	}
	t.mu.Unlock()
	if say {
		t.log.Warn("the log holds this client back, since it is above a quota", "node", node.NodeID, "for", d)
	}
}

// hold returns for how long a node is to be left alone, 0 if it may be asked.
func (t *throttle) hold(node int32, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(0, t.mu.until[node].Sub(now))
}

var _ kgo.HookBrokerThrottle = (*throttle)(nil)
