// Command wordcount counts the words of the topic "lines" into the topic "counts", on an embedded broker that also listens.
package main

import (
	"context"
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
	if err := run(ctx, "wordcount-data", "127.0.0.1:9092"); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir, listen string) error {
	kafka, err := broker.Open(ctx, broker.Config{Dir: dir + "/log", Listen: listen})
	if err != nil {
		return err
	}
	defer kafka.Close(context.WithoutCancel(ctx))
	admin, err := kadm.NewOptClient(kgo.SeedBrokers(kafka.Brokers()...), kgo.Dialer(kafka.Dial))
	if err != nil {
		return err
	}
	defer admin.Close()
	if _, err := admin.CreateTopics(ctx, 4, 1, nil, "lines", "counts"); err != nil {
		return err
	}

	b := stream.NewBuilder()
	words := stream.FlatMapValues(stream.From(b, "lines", serde.String, serde.String), split)
	counts := stream.GroupBy(words, func(_, word string) string { return word }, stream.GroupedWith(serde.String, serde.String)).
		Count(stream.Materialized("counts", serde.Int64))
	counts.ToStream().To("counts", serde.String, serde.Int64)
	topology, err := b.Topology()
	if err != nil {
		return err
	}
	app, err := runtime.New(topology, runtime.Config{
		ApplicationID: "wordcount", StateDir: dir + "/state", Brokers: kafka.Brokers(), Dial: kafka.Dial,
	})
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

func split(line string, emit func(word string)) {
	for word := range strings.FieldsSeq(strings.ToLower(line)) {
		emit(word)
	}
}
