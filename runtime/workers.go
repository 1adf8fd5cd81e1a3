package runtime

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/runtime/internal/restore"
	"github.com/millrace-io/millrace/runtime/internal/worker"
)

// openWorkers starts a producer session for each worker, and before that one for each slot that an earlier run used: that
// fences the instance's past, and ends what it left open, before any offset is asked for (DESIGN D7).
func (in *instance) openWorkers(ctx context.Context) error {
	slots := 0 // transactional ones of this run
	if in.cfg.Guarantee == ExactlyOnce {
		slots = in.cfg.Workers
	}
	if in.dir != nil {
		recorded := in.dir.Slots()
		if err := in.dir.RecordSlots(max(recorded, slots)); err != nil {
			return err
		}
		if err := in.settlePast(ctx, slots, recorded); err != nil {
			return err
		}
		if err := in.dir.RecordSlots(slots); err != nil {
			return err
		}
	}
	producers, err := in.openProducers(ctx, in.cfg.Guarantee, 0, in.cfg.Workers)
	if err != nil {
		return err
	}
	in.closeLater(in.closeSlots) // of those that are there then
	for i, p := range producers {
		if err := in.openWorker(i, p); err != nil {
			closeAll(producers[i+1:])
			return err
		}
	}
	in.show()
	return nil
}

// settlePast ends what the slots from..to, which this run does not use, may have left open.
func (in *instance) settlePast(ctx context.Context, from, to int) error {
	producers, err := in.openProducers(ctx, ExactlyOnce, from, to)
	closeAll(producers)
	return err
}

// openProducers starts sessions for the slots from..to, side by side.
func (in *instance) openProducers(ctx context.Context, g Guarantee, from, to int) ([]*client.Producer, error) {
	var producers []*client.Producer
	for slot := from; slot < to; slot++ {
		cfg := client.ProducerConfig{
			TransactionTimeout: in.cfg.TransactionTimeout,
			DeliveryTimeout:    in.cfg.deliveryTimeout(),
			MaxBufferedBytes:   int(in.cfg.OutputBytes / int64(in.cfg.Workers)),
			BatchBytes:         2 * in.cfg.BatchBytes,
			Compression:        in.cfg.Compression.codec(),
		}
		if g == ExactlyOnce {
			cfg.TransactionalID = in.transactionalID(slot)
		}
		p, err := client.NewProducer(in.client, cfg)
		if err != nil {
			closeAll(producers)
			return nil, err
		}
		producers = append(producers, p)
	}
	if err := initAll(ctx, producers); err != nil {
		closeAll(producers)
		return nil, err
	}
	return producers, nil
}

func closeAll(producers []*client.Producer) {
	for _, p := range producers {
		p.Close()
	}
}

func (in *instance) transactionalID(slot int) string {
	return fmt.Sprintf("%s-%s-%d", in.cfg.ApplicationID, in.id, slot)
}

// initTimeout bounds the first producer sessions: a commit that was decided is completed before the session begins.
const initTimeout = time.Minute

func initAll(ctx context.Context, producers []*client.Producer) error {
	ctx, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	errs := make([]error, len(producers))
	var running sync.WaitGroup
	for i, p := range producers {
		running.Go(func() { errs[i] = p.Init(ctx) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// openWorker makes a worker over a producer, which it takes over.
func (in *instance) openWorker(number int, p *client.Producer) error {
	f, err := client.NewFetcher(in.client, client.FetcherConfig{
		BufferBytes: int(in.cfg.InputBytes / int64(in.cfg.Workers)),
		Fair:        in.board != nil,
	})
	if err != nil {
		p.Close()
		return err
	}
	in.slots = append(in.slots, slot{producer: p, fetcher: f, leaving: new(atomic.Bool)})
	restorer := restore.New(restore.Config{
		Group:     in.cfg.ApplicationID,
		ClusterID: in.client.ClusterID(),
		Log:       in.client,
		NewFetcher: func() (restore.Fetcher, error) {
			return client.NewFetcher(in.client, client.FetcherConfig{})
		},
		Parallel:    max(1, goruntime.GOMAXPROCS(0)/in.cfg.Workers),
		ExactlyOnce: in.cfg.Guarantee == ExactlyOnce,
		StateDir:    in.statePath(),
		Listen:      in.cfg.RestoreListener,
		Logger:      in.log,
		Now:         in.cfg.Now,
	})
	cfg := worker.Config{
		Slot:     number,
		Producer: p,
		Fetcher:  f,
		Member:   lateMember{in},
		Heard:    func() (time.Duration, bool) { return in.member.Heard() },
		Prepare:  restorer.Prepare,
		NewTask:  in.newTask,
		Partitions: func(topic string) int32 {
			return in.plan.partitions(topic)
		},
		MaxBatchBytes:      in.plan.maxBatchBytes,
		ReadInput:          in.client.ReadRecord,
		SendBytes:          in.cfg.BatchBytes,
		Dropped:            in.signals.drop,
		Uncaught:           in.uncaught,
		Align:              in.board,
		Changed:            in.signals.changed,
		CommitInterval:     in.cfg.CommitInterval,
		TransactionTimeout: in.cfg.TransactionTimeout,
		TaskTimeout:        in.cfg.TaskTimeout,
		MaxDirtyBytes:      in.cfg.DirtyBytes / int64(in.cfg.Workers),
		Logger:             in.log,
		Now:                in.cfg.Now,
	}
	if repartitioned := in.repartitionTopics(); len(repartitioned) > 0 {
		cfg.Committed = func(tp client.TopicPartition, next int64) {
			if repartitioned[tp.Topic] {
				in.purger.Committed(tp, next)
			}
		}
	}
	if in.cfg.Guarantee == AtLeastOnce {
		cfg.CommitOffsets = in.client.CommitOffsets
	}
	in.workers = append(in.workers, worker.New(cfg))
	return nil
}

// repartitionTopics returns the full names of the topics between sub-topologies, whose records go once they are read.
func (in *instance) repartitionTopics() map[string]bool {
	names := make(map[string]bool, len(in.topology.Repartition))
	for _, r := range in.topology.Repartition {
		names[in.topology.Internal(in.cfg.ApplicationID, r.Topic())] = true
	}
	return names
}

func (in *instance) statePath() string {
	if in.dir == nil {
		return "the state in memory"
	}
	return in.dir.StatePath()
}
