package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/examples/flights/data"
)

const (
	// maxPerTransaction bounds the flights of one transaction: enough to make its cost small, and few enough that the
	// pipeline, which sees nothing of a transaction before its end, need not wait for long.
	maxPerTransaction = 2048
	// With -rate a transaction holds the flights of a twentieth of a second.
	transactionsPerSecond = 20
)

// loader writes a source into the log, every element exactly once, however often it is killed on the way. Three things do
// it, and they are all that any program needs which copies something into Kafka:
//
//   - A transaction holds some elements and, in a topic of its own, how far the loading has then come. Readers of
//     committed data see both or neither.
//   - The transactional id is always the same. A new loader first asks for the producer id behind it (InitProducerID):
//     that ends a transaction which a killed one left open, and shuts out one that still runs elsewhere.
//   - Only then it reads how far the loading has come, and goes on from there.
//
// There is no other state, and no error is mended here: whoever starts the loader again finds the truth in the log.
type loader struct {
	names  names
	source source
	rate   int // flights a second; 0 is as fast as the log takes them
	at     loading
	cl     *kgo.Client
	size   int64 // flights in the source

	flights atomic.Int64 // loaded so far, for those who watch
}

// openLoader shuts out earlier loaders, and finds out where the loading stands. want is what the source holds.
func openLoader(ctx context.Context, connect []kgo.Opt, n names, src source, want loading, rate int) (*loader, error) {
	cl, err := kgo.NewClient(append(slices.Clone(connect),
		kgo.TransactionalID(n.loader),
		kgo.TransactionTimeout(time.Minute),
	)...)
	if err != nil {
		return nil, fmt.Errorf("loader: %w", err)
	}
	l := &loader{names: n, source: src, rate: rate, cl: cl, size: want.Total}
	if err := l.begin(ctx, connect, want); err != nil {
		cl.Close()
		return nil, err
	}
	return l, nil
}

func (l *loader) begin(ctx context.Context, connect []kgo.Opt, want loading) error {
	if _, _, err := l.cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("loader: take over transactional id %s: %w", l.names.loader, err)
	}
	earlier, err := readLoading(ctx, connect, l.names.loading)
	if err != nil {
		return err
	}
	l.at = want
	if earlier != nil {
		if earlier.Digest != want.Digest {
			return fmt.Errorf("this log holds other flights: %d of %d from %s (SHA-256 %.12s…), and -data now is %s (%.12s…); "+
				"results would mix the two: give the -data of before, or start anew with another -dir or log",
				earlier.Flights, earlier.Total, earlier.Source, earlier.Digest, want.Source, want.Digest)
		}
		l.at = *earlier
	}
	l.flights.Store(l.at.Flights)
	return nil
}

// loadAirports writes the airports, all in one transaction. The pipeline may start when it has returned: a flight joins
// with the airports that are there when it is read.
func (l *loader) loadAirports(ctx context.Context) error {
	if l.at.Airports > 0 {
		return nil
	}
	airports, err := data.Airports()
	if err != nil {
		return err
	}
	next := l.at
	next.Airports = len(airports)
	records := make([]*kgo.Record, len(airports))
	for i, a := range airports {
		value, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("encode airport %s: %w", a.IATA, err)
		}
		records[i] = &kgo.Record{Topic: l.names.airports, Key: []byte(a.IATA), Value: value}
	}
	return l.transaction(ctx, records, next)
}

// loadFlights writes the elements of the source that are not in the log yet.
func (l *loader) loadFlights(ctx context.Context) error {
	if l.at.done() {
		return nil
	}
	f, err := l.source.open()
	if err != nil {
		return fmt.Errorf("-data: %w", err)
	}
	defer f.Close()
	elements := newArrayReader(l.source.name, f)
	for range l.at.Flights {
		if _, err := elements.Next(); err != nil {
			return l.changed(err)
		}
	}
	pace := newPace(l.rate)
	for !l.at.done() {
		if err := pace.wait(ctx); err != nil {
			return err
		}
		records, err := l.read(elements, min(pace.batch, l.at.Total-l.at.Flights))
		if err != nil {
			return l.changed(err)
		}
		next := l.at
		next.Flights += int64(len(records))
		if err := l.transaction(ctx, records, next); err != nil {
			return err
		}
	}
	return nil
}

// read turns the next n elements into records of the topic flights, each as it stands: whether it is a flight at all is
// for the pipeline to say, which counts and names those that are not.
func (l *loader) read(elements *arrayReader, n int64) ([]*kgo.Record, error) {
	records := make([]*kgo.Record, 0, n)
	for range n {
		raw, err := elements.Next()
		if err != nil {
			return nil, err
		}
		records = append(records, &kgo.Record{Topic: l.names.flights, Key: originOf(raw), Value: slices.Clone(raw)})
	}
	return records, nil
}

// changed is the error of a source that is not what it was when it was inspected.
func (l *loader) changed(err error) error {
	if errors.Is(err, io.EOF) {
		err = errors.New("it has become shorter")
	}
	return fmt.Errorf("%s has changed while it was loaded: %w", l.source.name, err)
}

// originOf returns the origin of a flight, the key of its record; nil, Kafka's null, where there is none to be read.
func originOf(element []byte) []byte {
	var flight struct {
		Origin string `json:"origin"`
	}
	if json.Unmarshal(element, &flight) != nil || flight.Origin == "" {
		return nil
	}
	return []byte(flight.Origin)
}

// transaction writes records, and next as the place where the loading then stands, all or nothing.
func (l *loader) transaction(ctx context.Context, records []*kgo.Record, next loading) error {
	value, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the loading's progress: %w", err)
	}
	records = append(records, &kgo.Record{Topic: l.names.loading, Key: []byte(loadingKey), Value: value})
	if err := l.produce(ctx, records); err != nil {
		if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
			return errors.New("another process has taken over the loading of this log: let it finish, then run again")
		}
		return fmt.Errorf("load into topic %s: %w; run again to go on where it stopped", records[0].Topic, err)
	}
	l.at = next
	l.flights.Store(next.Flights)
	return nil
}

func (l *loader) produce(ctx context.Context, records []*kgo.Record) error {
	if err := l.cl.BeginTransaction(); err != nil {
		return err
	}
	// An error ends the loader, and with it the transaction: the next one begins by ending what is open.
	if err := l.cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	return l.cl.EndTransaction(ctx, kgo.TryCommit)
}

// total is how many flights there are to load.
func (l *loader) total() int64 { return l.size }

// Close closes the connection. A transaction that an error left open is ended by the next loader, or by the log in time.
func (l *loader) Close() { l.cl.Close() }

// pace says when the next transaction may begin, and how many flights it may hold.
type pace struct {
	batch    int64
	interval time.Duration // 0: at once
	next     time.Time
}

func newPace(rate int) *pace {
	if rate <= 0 {
		return &pace{batch: maxPerTransaction}
	}
	batch := min(max(1, rate/transactionsPerSecond), maxPerTransaction)
	return &pace{batch: int64(batch), interval: time.Duration(float64(batch) / float64(rate) * float64(time.Second)), next: time.Now()}
}

// wait returns when the next transaction may begin, or ctx has ended. What was missed is not made up for.
func (p *pace) wait(ctx context.Context) error {
	if p.interval == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(time.Until(p.next))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case now := <-timer.C:
		p.next = now.Add(p.interval)
		return nil
	}
}
