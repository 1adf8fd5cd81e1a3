package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/examples/internal/cluster"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/topology"
)

// drainPoll is how often the job asks whether it has caught up, once all is loaded.
const drainPoll = 25 * time.Millisecond

// job is one run: a loader and the pipeline, side by side, until the pipeline has caught up with what was loaded.
type job struct {
	names   names
	log     *cluster.Log
	console *console
	logger  *slog.Logger
	began   time.Time

	client *kgo.Client
	loader *loader
	app    *runtime.App
	order  []string // topics that the pipeline reads, in topological order

	before   int64 // flights that were loaded by earlier runs
	loadedIn time.Duration
	done     chan struct{} // closed when all is loaded; loadedIn is set then
}

// open creates the topics, loads the airports and builds the pipeline.
func (j *job) open(ctx context.Context, o *options, src source, want loading) (err error) {
	defer func() {
		if err != nil {
			j.close()
		}
	}()
	if j.client, err = kgo.NewClient(j.log.ClientOptions()...); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := createTopics(ctx, kadm.NewClient(j.client), j.names, int32(o.partitions), o.askedPartitions); err != nil {
		return err
	}
	if j.loader, err = openLoader(ctx, j.log.ClientOptions(), j.names, src, want, o.rate); err != nil {
		return err
	}
	j.before = j.loader.flights.Load()
	// Before the pipeline starts: a flight is joined with the airports that are known when it is read.
	if err := j.loader.loadAirports(ctx); err != nil {
		return err
	}
	top, err := pipeline(j.names)
	if err != nil {
		return err
	}
	j.order = inputs(top, j.names)
	j.app, err = runtime.New(top, runtime.Config{
		ApplicationID:   j.names.app,
		StateDir:        j.log.StateDir(),
		Brokers:         j.log.Brokers,
		Dial:            j.log.Dial,
		Logger:          j.logger,
		Deserialization: runtime.LogAndContinue, // a flight that cannot be read is left out, counted and named
	})
	return err
}

// inputs returns the topics that the pipeline reads, in topological order.
func inputs(top *topology.Topology, n names) []string {
	order := []string{n.flights, n.enriched}
	for _, r := range top.Repartition {
		order = append(order, top.Internal(n.app, r.Name+"-repartition"))
	}
	return order
}

func (j *job) close() {
	if j.loader != nil {
		j.loader.Close()
	}
	if j.client != nil {
		j.client.Close()
	}
}

// run loads and processes until the pipeline has caught up, then stops it in order.
func (j *job) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j.done = make(chan struct{})
	var parts sync.WaitGroup
	parts.Go(func() {
		err := j.app.Run(ctx)
		if err != nil {
			cancel(fmt.Errorf("run the pipeline: %w", err))
		} else if ctx.Err() == nil {
			cancel(errors.New("the pipeline stopped by itself"))
		}
	})
	parts.Go(func() {
		if err := j.loader.loadFlights(ctx); err != nil {
			cancel(err)
			return
		}
		j.loadedIn = time.Since(j.began)
		close(j.done)
	})
	err := j.await(ctx)
	cancel(errCaughtUp)
	parts.Wait()
	// The cause is the first that failed: the pipeline, the loader, the wait, or an interrupt from outside.
	if cause := context.Cause(ctx); !errors.Is(cause, errCaughtUp) {
		return cause
	}
	return err
}

// errCaughtUp is the cause for which a job ends that has done its work.
var errCaughtUp = errors.New("caught up")

// await returns when the pipeline has processed all that the loader has written.
func (j *job) await(ctx context.Context) error {
	adm := kadm.NewClient(j.client)
	draw := time.NewTicker(drawEvery)
	defer draw.Stop()
	ask := time.NewTicker(drainPoll)
	defer ask.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-draw.C:
			j.console.progress(now, j.progress(now))
		case <-ask.C:
			if !j.loaded() {
				continue
			}
			if done, err := drained(ctx, adm, j.names.app, j.order, []string{j.names.delays, j.names.routes}); done || err != nil {
				return err
			}
		}
	}
}

func (j *job) loaded() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// progress says in one line how far the job is. Its lag is that of each topic that the pipeline reads, in their order.
func (j *job) progress(now time.Time) string {
	s := j.app.Stats()
	lags := make([]string, len(j.order))
	for i, topic := range j.order {
		lags[i] = "?"
		if n, known := lagOf(s, topic); known {
			lags[i] = grouped(n)
		}
	}
	rate := float64(s.Read) / now.Sub(j.began).Seconds()
	return fmt.Sprintf("loaded %s/%s · %s records · %s/s · lag %s · %s commits", grouped(j.loader.flights.Load()), grouped(j.loader.total()),
		grouped(s.Read), grouped(int64(rate)), strings.Join(lags, "|"), grouped(s.Commits))
}

// lagOf adds up the lag of a topic's partitions, if all are known.
func lagOf(s runtime.Stats, topic string) (lag int64, known bool) {
	known = s.State == runtime.Running
	for _, task := range s.Tasks {
		for _, in := range task.Inputs {
			if in.Topic == topic {
				lag += in.Lag
				known = known && in.Lag >= 0
			}
		}
	}
	return lag, known
}

// summary is what this run did, for the report.
func (j *job) summary(now time.Time) *summary {
	s := j.app.Stats()
	sum := &summary{
		source:   j.loader.at.Source,
		total:    j.loader.at.Flights,
		loaded:   j.loader.at.Flights - j.before,
		airports: j.loader.at.Airports,
		read:     s.Read,
		written:  s.Written,
		commits:  s.Commits,
		took:     now.Sub(j.began),
		loading:  j.loadedIn,
		log:      logInWords(j.log),
	}
	byReason := make(map[string]int64)
	for _, d := range s.Dropped {
		byReason[string(d.Reason)] += d.Count
	}
	for reason, n := range byReason {
		sum.dropped = append(sum.dropped, dropCount{reason, n})
	}
	slices.SortFunc(sum.dropped, func(a, b dropCount) int {
		if a.n != b.n {
			return int(b.n - a.n)
		}
		if a.reason < b.reason {
			return -1
		}
		return 1
	})
	return sum
}
