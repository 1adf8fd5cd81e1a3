// Command wordcount counts the words of the topic "lines" into the topic "counts".
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	kafka, err := broker.Open(ctx, broker.Config{Dir: "wordcount/log", Listen: "127.0.0.1:9092"})
	if err != nil {
		log.Fatal(err)
	}
	err = count(ctx, kafka, "wordcount/state")
	if err = errors.Join(err, kafka.Close(context.Background())); err != nil {
		log.Fatal(err)
	}
}

func count(ctx context.Context, kafka *broker.Broker, stateDir string) error {
	admin, err := kadm.NewOptClient(kgo.SeedBrokers(kafka.Brokers()...), kgo.Dialer(kafka.Dial))
	if err != nil {
		return err
	}
	defer admin.Close()
	if _, err := admin.CreateTopics(ctx, 4, 1, nil, "lines", "counts"); err != nil {
		return err
	}

	b := stream.NewBuilder()
	lines := stream.From(b, "lines", serde.String, serde.String)
	words := stream.FlatMapValues(lines, func(line string, emit func(word string)) {
		for word := range strings.FieldsSeq(strings.ToLower(line)) {
			emit(word)
		}
	})
	counts := stream.GroupBy(words, func(_, word string) string { return word }, stream.GroupedWith(serde.String, serde.String)).
		Count(stream.Materialized("counts", serde.Int64))
	counts.ToStream().To("counts", serde.String, serde.Int64)

	topology, err := b.Topology()
	if err != nil {
		return err
	}
	app, err := runtime.New(topology, runtime.Config{
		ApplicationID: "wordcount", StateDir: stateDir, Brokers: kafka.Brokers(), Dial: kafka.Dial,
	})
	if err != nil {
		return err
	}
	return app.Run(ctx) // until ctx ends
}
