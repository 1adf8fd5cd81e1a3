package client

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
)

// Send waits while what is under way fills the buffer, until there is room; alone, a batch may be larger than the buffer.
func TestSendWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, l *quotaLog) {
		p := newProducer(t, l.connect(), ProducerConfig{MaxBufferedBytes: 200})
		l.ask(0, "produce", 30*time.Second, 10*time.Second)
		send(t, p, first, "a")
		flush(t, p)
		send(t, p, first, strings.Repeat("b", 300))
		var sent atomic.Int32
		for range 2 {
			go func() {
				if err := p.Send(t.Context(), first, oneRecord(t)); err != nil {
					t.Error(err)
				}
				sent.Add(1)
			}()
		}
		synctest.Wait()
		if sent.Load() != 0 {
			t.Error("Send does not wait for room")
		}
		time.Sleep(31 * time.Second)
		if sent.Load() != 2 {
			t.Errorf("%d of 2 are sent after the first was acknowledged", sent.Load())
		}
		go func() {
			if err := p.Send(t.Context(), first, oneRecord(t)); err != nil {
				t.Error(err)
			}
			sent.Add(1)
		}()
		synctest.Wait()
		if sent.Load() != 2 {
			t.Error("Send does not wait for room any more")
		}
		p.SetMaxBufferedBytes(400)
		synctest.Wait()
		if sent.Load() != 3 {
			t.Error("Send waits though there is room now")
		}
	})
}

// Who gives up waiting for the log may abort.
func TestFlushGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, l *quotaLog) {
		p := newProducer(t, l.connect(), ProducerConfig{})
		l.ask(0, "produce", time.Hour)
		send(t, p, first, "a")
		flush(t, p)
		send(t, p, first, "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || ClassOf(err) != ClassAbort {
			t.Errorf("Flush = %v (%v)", err, ClassOf(err))
		}
	})
}

// A producer takes nothing before Init and after Close.
func TestProducerWithoutASession(t *testing.T) {
	inBubble(t, func(t *testing.T, l *quotaLog) {
		c := l.connect()
		if _, err := NewProducer(c, ProducerConfig{Compression: recordbatch.Zstd + 1}); err == nil {
			t.Error("compresses with what is no codec")
		}
		p, err := NewProducer(c, ProducerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Send(t.Context(), first, oneRecord(t)); ClassOf(err) != ClassUnknown {
			t.Errorf("Send before Init = %v (%v)", err, ClassOf(err))
		}
		if err := p.CommitOffsets(t.Context(), Identity{}, map[TopicPartition]Committed{first: {}}); ClassOf(err) != ClassUnknown {
			t.Errorf("CommitOffsets before Init = %v (%v)", err, ClassOf(err))
		}
		if err := p.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.ask(0, "produce", time.Hour)
		send(t, p, first, "a")
		flush(t, p)
		send(t, p, first, "b")
		p.Close()
		for what, err := range map[string]error{
			"Send": p.Send(t.Context(), first, oneRecord(t)), "Flush": p.Flush(t.Context()), "Init": p.Init(t.Context()), "End": p.End(t.Context(), false),
		} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s after Close = %v", what, err)
			}
		}
	})
}

// Batches are used again, as long as those that lie idle are not more than what may be under way, and none is oversized.
func TestBuildersAreUsedAgain(t *testing.T) {
	t.Parallel()
	p := &Producer{cfg: ProducerConfig{BatchBytes: 8 << 10, MaxBufferedBytes: 64 << 10, MaxBatchBytes: 1 << 20}}
	for range 1000 {
		b := p.Builder()
		if err := b.Append(nil, []byte("v"), 0, nil); err != nil {
			t.Fatal(err)
		}
		p.recycleLocked(b)
	}
	if b := p.Builder(); len(p.mu.free) != 0 || b.Len() != 0 || p.mu.idle != 0 {
		t.Errorf("%d are idle, of %d bytes, and the one used again holds %d records", len(p.mu.free), p.mu.idle, b.Len())
	}
	large := p.Builder()
	if err := large.Append(nil, make([]byte, 20<<10), 0, nil); err != nil {
		t.Fatal(err)
	}
	if p.recycleLocked(large); len(p.mu.free) != 0 {
		t.Errorf("a builder of %d bytes is kept", large.Cap())
	}
	for range 100 {
		p.recycleLocked(recordbatch.NewBuilder(8<<10, 0))
	}
	if p.mu.idle > 96<<10 || p.mu.idle < 64<<10 {
		t.Errorf("%d bytes are kept for a buffer of 64 KiB", p.mu.idle)
	}
}

// A batch is not tried for longer than a transaction lasts.
func TestDeliveryTimeoutIsBounded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ cfg, want ProducerConfig }{
		{ProducerConfig{}, ProducerConfig{TransactionTimeout: 10 * time.Second, DeliveryTimeout: 30 * time.Second}},
		{ProducerConfig{TransactionalID: "id"}, ProducerConfig{TransactionTimeout: 10 * time.Second, DeliveryTimeout: 10 * time.Second * 2 / 3}},
		{ProducerConfig{TransactionalID: "id", DeliveryTimeout: time.Second}, ProducerConfig{TransactionTimeout: 10 * time.Second, DeliveryTimeout: time.Second}},
	} {
		got := tc.cfg
		got.setDefaults()
		if got.TransactionTimeout != tc.want.TransactionTimeout || got.DeliveryTimeout != tc.want.DeliveryTimeout {
			t.Errorf("%+v has time-outs %v and %v", tc.cfg, got.TransactionTimeout, got.DeliveryTimeout)
		}
	}
}
