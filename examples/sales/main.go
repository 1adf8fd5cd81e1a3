// Command sales sums up orders by region and hour, in the style of Go 1.27 if it is compiled with that: see methods.go and functions.go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/stream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "sales")
	if err != nil {
		log.Fatal(err)
	}
	err = run(ctx, dir, os.Stdout)
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

// run writes the orders to a broker of its own, runs the pipeline over them, and prints the sums.
func run(ctx context.Context, dir string, out io.Writer) error {
	quiet := slog.New(slog.DiscardHandler)
	kafka, err := broker.Open(ctx, broker.Config{Dir: dir + "/log", Logger: quiet})
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka.Brokers()...), kgo.Dialer(kafka.Dial),
		kgo.ConsumeTopics(salesTopic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return errors.Join(err, kafka.Close(context.Background()))
	}
	err = process(ctx, kafka, cl, runtime.Config{ApplicationID: "sales", StateDir: dir + "/state", Logger: quiet}, out)
	cl.Close()
	return errors.Join(err, kafka.Close(context.Background()))
}

func process(ctx context.Context, kafka *broker.Broker, cl *kgo.Client, cfg runtime.Config, out io.Writer) error {
	if _, err := kadm.NewClient(cl).CreateTopics(ctx, partitions, 1, nil, ordersTopic, customersTopic, salesTopic); err != nil {
		return err
	}
	records, err := input()
	if err != nil {
		return err
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	b := stream.NewBuilder()
	describe(b)
	topology, err := b.Topology()
	if err != nil {
		return err
	}
	cfg.Brokers, cfg.Dial = kafka.Brokers(), kafka.Dial
	app, err := runtime.New(topology, cfg)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- app.Run(running)
		stop() // nothing more will come
	}()
	err = show(running, cl, out)
	stop()
	if failed := <-ended; failed != nil {
		return failed
	}
	return err
}

// input returns customers, and their orders, which are placed later: the join finds the row that a customer had by then.
func input() ([]*kgo.Record, error) {
	var records []*kgo.Record
	var errs []error
	yesterday := time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour)
	add := func(topic, key string, value any, at string) {
		d, errTime := time.ParseDuration(at)
		b, err := json.Marshal(value)
		errs = append(errs, errTime, err)
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(key), Value: b, Timestamp: yesterday.Add(d)})
	}
	for name, region := range map[string]string{"ada": "north", "bob": "south", "cid": "south", "eve": "north"} {
		add(customersTopic, name, Customer{region}, "8h0m")
	}
	add(ordersTopic, "1", Order{"ada", 40_00}, "9h5m")
	add(ordersTopic, "2", Order{"bob", 12_00}, "9h20m")
	add(ordersTopic, "3", Order{"cid", 30_00}, "10h1m")
	add(ordersTopic, "4", Order{"eve", 15_00}, "9h59m") // late: it counts for its own hour
	add(ordersTopic, "5", Order{"bob", 25}, "10h30m")
	add(ordersTopic, "6", Order{"ada", 7_50}, "10h45m")
	add(ordersTopic, "7", Order{"zoe", 99_00}, "10h50m") // nobody knows her
	return records, errors.Join(errs...)
}

// known is how many of the orders have a customer.
const known = 6

// show reads sums until they are those of all orders, and prints the last one of each region and hour.
func show(ctx context.Context, cl *kgo.Client, out io.Writer) error {
	latest := make(map[string]Sum)
	for total := int64(0); total < known; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			var s Sum
			if err := json.Unmarshal(r.Value, &s); err != nil {
				return err
			}
			latest[string(r.Key)] = s
		}
		total = 0
		for _, s := range latest {
			total += s.Orders
		}
	}
	for _, key := range slices.Sorted(maps.Keys(latest)) {
		s := latest[key]
		if _, err := fmt.Fprintf(out, "%s %d orders, %d.%02d\n", key, s.Orders, s.Cents/100, s.Cents%100); err != nil {
			return err
		}
	}
	return nil
}
