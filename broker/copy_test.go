package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// copyLoop is one member that copies topic "from" to topic "to", until stop.
func copyLoop(t testing.TB, b *brokertest.Broker, id string, stop <-chan struct{}, opts ...kgo.Opt) error {
	s, err := kgo.NewGroupTransactSession(append([]kgo.Opt{
		kgo.SeedBrokers(b.Brokers()...), kgo.Dialer(b.Dial), kgo.TransactionalID(id), kgo.ConsumerGroup("copiers"),
		kgo.ConsumeTopics("from"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.HeartbeatInterval(100 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx := testContext(t)
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := copyOnce(ctx, s); err != nil {
			return err
		}
	}
}

// copyOnce copies what one poll brings, in one transaction.
func copyOnce(ctx context.Context, s *kgo.GroupTransactSession) error {
	pollCtx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	fs := s.PollRecords(pollCtx, 50)
	cancel()
	if fs.NumRecords() == 0 {
		return ctx.Err()
	}
	if err := s.Begin(); err != nil {
		return err
	}
	var produceErr error
	fs.EachRecord(func(r *kgo.Record) {
		s.Produce(ctx, &kgo.Record{Topic: "to", Key: r.Key, Value: r.Value}, func(_ *kgo.Record, err error) {
			if err != nil {
				produceErr = err
			}
		})
	})
	if err := s.Client().Flush(ctx); err != nil {
		return err
	}
	_, err := s.End(ctx, kgo.TransactionEndTry(produceErr == nil))
	return err
}
