package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
)

// TestHistoryIsKept lets a log that looks for what to delete all the time pass over the topics of a finished run. A topic as
// the log has it by default stands beside them, with one record as old as the flights: once that is gone, the others had their turn.
func TestHistoryIsKept(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), namesWith("")
	if _, _, err := runJob(t, n, "-dir", dir, "-json"); err != nil {
		t.Fatal(err)
	}
	log, err := broker.Open(t.Context(), broker.Config{Dir: filepath.Join(dir, "log"), RetentionInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	client, err := kgo.NewClient(kgo.SeedBrokers(log.Brokers()...), kgo.Dialer(log.Dial))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	const byDefault = "kept-by-default"
	if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, byDefault); err != nil {
		t.Fatal(err)
	}
	old := &kgo.Record{Topic: byDefault, Value: []byte("old"), Timestamp: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)}
	if err := client.ProduceSync(t.Context(), old).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second round began after the first record was gone, so it saw every topic in between
		for deadline := time.Now().Add(stopTimeout); startsOf(t, adm, byDefault)[0] <= old.Offset; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("record %d of %s is still there after %v", old.Offset, byDefault, stopTimeout)
			}
		}
		if err := client.ProduceSync(t.Context(), old).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	topics := []string{n.flights, n.airports, n.enriched, n.delays, n.routes, n.loading}
	all, err := adm.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kept := int64(0)
	for _, topic := range topics {
		if !all.Has(topic) {
			t.Fatalf("no topic %s", topic)
		}
		for p, start := range startsOf(t, adm, topic) {
			if start != 0 {
				t.Errorf("%s-%d begins at offset %d: the log has deleted what was before", topic, p, start)
			}
			kept++
		}
	}
	if kept != 4*4+2 {
		t.Errorf("%d partitions were looked at", kept)
	}
}

func startsOf(t *testing.T, adm *kadm.Client, topic string) map[int32]int64 {
	t.Helper()
	listed, err := adm.ListStartOffsets(t.Context(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	starts := make(map[int32]int64)
	listed.Each(func(l kadm.ListedOffset) { starts[l.Partition] = l.Offset })
	return starts
}
