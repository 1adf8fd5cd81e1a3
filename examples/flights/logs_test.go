package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/examples/internal/cluster"
)

// testLog is a log that a test has for itself: a broker of its own, or names of its own on a shared Kafka.
type testLog struct {
	connect []kgo.Opt
	names   names
	prefix  string // of names
}

// kafkaEnv names a real Kafka, host:port,…; tests that need one are skipped without it.
const kafkaEnv = "MILLRACE_KAFKA"

// onEachLog runs a test on the embedded broker and on a real Kafka.
func onEachLog(t *testing.T, test func(*testing.T, testLog)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		l := embeddedLog(t)
		createAll(t, l, 4)
		test(t, l)
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		l := kafkaLog(t)
		createAll(t, l, 4)
		test(t, l)
	})
}

// embeddedLog returns a broker of its own.
func embeddedLog(t *testing.T) testLog {
	t.Helper()
	f := cluster.Flags{Dir: t.TempDir()}
	log, err := f.Open(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return testLog{connect: log.ClientOptions(), names: namesWith("")}
}

// kafkaLog returns names of their own on the real Kafka, and removes what they name at the end.
func kafkaLog(t *testing.T) testLog {
	t.Helper()
	seeds := kafkaSeeds(t)
	prefix := fmt.Sprintf("t%08x-", rand.Uint32())
	l := testLog{connect: []kgo.Opt{kgo.SeedBrokers(seeds...)}, names: namesWith(prefix), prefix: prefix}
	t.Cleanup(func() { removeAll(t, l, prefix) })
	return l
}

func kafkaSeeds(t *testing.T) []string {
	t.Helper()
	seeds := os.Getenv(kafkaEnv)
	if seeds == "" {
		t.Skip(kafkaEnv + " names no Kafka: tested on the embedded broker alone")
	}
	return strings.Split(seeds, ",")
}

func removeAll(t *testing.T, l testLog, prefix string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(l.connect...)
	if err != nil {
		t.Error(err)
		return
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	var mine []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, prefix) {
			mine = append(mine, name)
		}
	}
	if _, err := adm.DeleteTopics(ctx, mine...); err != nil {
		t.Error(err)
	}
	if _, err := adm.DeleteGroup(ctx, l.names.app); err != nil {
		t.Logf("group %s: %v", l.names.app, err) // it may never have come to be, or have a member that died
	}
}
