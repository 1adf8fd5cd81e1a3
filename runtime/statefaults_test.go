package runtime_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/runtime"
	"github.com/millrace-io/millrace/runtime/internal/client"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/stream"
)

// kafka is a client of the log for what the runtime never does.
func (l *testLog) kafka(t *testing.T) *kgo.Client {
	t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(l.brokers...)}
	if l.dial != nil {
		opts = append(opts, kgo.Dialer(l.dial))
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// deleteTopic deletes a topic, and returns when the log knows it no more.
func (l *testLog) deleteTopic(t *testing.T, name string) {
	t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = kmsg.StringPtr(name)
	req.Topics, req.TopicNames, req.TimeoutMillis = append(req.Topics, topic), []string{name}, 10_000
	resp, err := req.RequestWith(t.Context(), l.kafka(t))
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the topic is gone", func() bool {
		found, err := l.client.RefreshTopics(t.Context(), name)
		return err == nil && len(found) == 0
	})
}

// truncate deletes the records of a compacted topic below an offset, which takes some determination.
func (l *testLog) truncate(t *testing.T, tp client.TopicPartition, before int64) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, tp.Topic
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = "cleanup.policy", kmsg.StringPtr("compact,delete")
	r.Configs = append(r.Configs, config)
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(t.Context(), l.kafka(t))
	if err == nil {
		err = kerr.ErrorForCode(resp.Resources[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the policy has come to the partition", func() bool {
		_, err = l.client.DeleteRecords(t.Context(), map[client.TopicPartition]int64{tp: before})
		return !errors.Is(err, kerr.PolicyViolation)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lines is a logger's output.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// having returns the first line that has all the parts, empty if there is none.
func (l *lines) having(parts ...string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			return line
		}
	}
	return ""
}

// counted runs the counting of a topic with a state directory until it is drained, and stops it.
func counted(t *testing.T, l *testLog, app, in, out, dir string) {
	t.Helper()
	r := l.start(t, fragile(t, in, out, never), runtime.Config{ApplicationID: app, StateDir: dir, Workers: 1})
	eventually(t, 30*time.Second, "it is processed", func() bool { return l.drained(t, app, in) })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
}

func never() bool { return false }

// A changelog that was deleted is not silently made anew, be there local state or not: its input was processed. The error says which, why and
// what to do. If it is created by hand, the state that the old one was for is neither trusted nor touched (D5): that error says which task and
// store, why, and what to do; and that helps.
func TestDeletedChangelog(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out, dir := unique(t, "app"), unique(t, "in"), unique(t, "out"), t.TempDir()
	l.createTopics(t, 1, in, out)
	l.write(t, in, numbered("v", 10))
	counted(t, l, app, in, out, dir)
	l.deleteTopic(t, app+"-counts-changelog")
	cfg := runtime.Config{ApplicationID: app, StateDir: dir, Workers: 1}
	for _, dir := range []string{dir, t.TempDir()} {
		cfg := cfg
		cfg.StateDir = dir
		err := l.start(t, fragile(t, in, out, never), cfg).failure(t, 30*time.Second)
		for _, part := range []string{
			`store "counts"`, "changelog topic " + app + "-counts-changelog is gone", "group " + app + " has committed offset", "of " + in + "-0", "it was deleted",
			"Reset the application", "create topic " + app + "-counts-changelog (partitions: 1, cleanup.policy=compact)",
		} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("Run = %v, which does not say %q", err, part)
			}
		}
	}
	l.createTopics(t, 1, app+"-counts-changelog") // as it says
	for range 2 {                                 // nothing was touched: a second try says the same
		err := l.start(t, fragile(t, in, out, never), cfg).failure(t, 30*time.Second)
		for _, part := range []string{
			"task 0_0: ", `store "counts"`, app + "-counts-changelog-0", "the topic was deleted and created again", "the changelog is empty while the store is not",
			"nothing was touched", "remove " + dir,
		} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("Run = %v, which does not say %q", err, part)
			}
		}
	}
	if err := os.RemoveAll(dir); err != nil { // as it says
		t.Fatal(err)
	}
	l.write(t, in, numbered("v", 1))
	counted(t, l, app, in, out, dir)
}

// behind has a log's metadata leave out a topic for a while, as that of a broker does which has not learned of it yet.
type behind struct {
	topic string
	more  atomic.Int32 // answers
}

type behindConn struct {
	net.Conn
	of *behind
}

// Write is called for a request at a time: its length, its key, and so on. The key of Metadata is 3. What it asks about is another topic then.
func (c behindConn) Write(b []byte) (int, error) {
	if len(b) >= 6 && binary.BigEndian.Uint16(b[4:]) == 3 && bytes.Contains(b, []byte(c.of.topic)) && c.of.more.Add(-1) >= 0 {
		b = bytes.ReplaceAll(b, []byte(c.of.topic), []byte("x"+c.of.topic[1:]))
	}
	return c.Conn.Write(b)
}

// A topic that the broker which is asked does not know yet is there: it is neither to be created by the user nor lost.
func TestTopicThatABrokerDoesNotKnowYet(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out, dir := unique(t, "app"), unique(t, "in"), unique(t, "out"), t.TempDir()
	l.createTopics(t, 1, in, out)
	l.write(t, in, numbered("v", 50))
	counted(t, l, app, in, out, dir)
	for _, topic := range []string{in, out, app + "-counts-changelog"} {
		m := &behind{topic: topic}
		m.more.Store(3)
		l.write(t, in, numbered("v", 50))
		counted(t, l.through(func(c net.Conn) net.Conn { return behindConn{c, m} }), app, in, out, dir)
		if n := m.more.Load(); n > 0 {
			t.Errorf("%d more look-ups do not know of topic %s", n, topic)
		}
	}
}

// A changelog that the log deletes by time is taken as it is, and said to be no place for what is needed.
func TestChangelogThatIsDeletedByTime(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out, app+"-counts-changelog")
	said := &lines{}
	l.start(t, fragile(t, in, out, never), runtime.Config{ApplicationID: app, Logger: slog.New(slog.NewTextHandler(said, nil))})
	eventually(t, 30*time.Second, "it is said", func() bool {
		return said.having("that are still needed", "topic="+app+"-counts-changelog", "cleanup.policy is delete and retention.ms") != ""
	})
}

// A store that an upgrade adds gets its changelog, though its input was processed before; and where nobody knows what there was, a changelog
// is created all the same, and said to be.
func TestChangelogsThatMayBeNew(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out := unique(t, "app"), unique(t, "in"), unique(t, "out")
	l.createTopics(t, 1, in, out)
	run := func(stores ...string) *lines {
		t.Helper()
		b := stream.NewBuilder()
		records := stream.From(b, in, serde.String, serde.String)
		records.To(out, serde.String, serde.String)
		for _, name := range stores {
			stream.GroupByKey(records).Count(stream.Materialized(name, serde.Int64))
		}
		top, err := b.Topology()
		if err != nil {
			t.Fatal(err)
		}
		l.write(t, in, numbered("v", 10))
		said := &lines{}
		r := l.start(t, top, runtime.Config{ApplicationID: app, Workers: 1, Logger: slog.New(slog.NewTextHandler(said, nil))})
		eventually(t, 30*time.Second, "it is processed", func() bool { return l.drained(t, app, in) })
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		return said
	}
	const warning = "a changelog is created for input that was processed before"
	if said := run("one"); said.having(warning) != "" {
		t.Errorf("at first it says\n%s", said.b.String())
	}
	if said := run("one", "two"); said.having(warning) != "" {
		t.Errorf("of a new store it says\n%s", said.b.String())
	}
	l.deleteTopic(t, app+"-millrace-topology-changelog")
	l.deleteTopic(t, app+"-two-changelog")
	if said := run("one", "two"); said.having("level=WARN", warning, "its changelog was deleted", "reset the application", "store=two", "topic="+app+"-two-changelog", in+"-0") == "" {
		t.Errorf("of a store that may be new it says\n%s", said.b.String())
	}
}

// D5: a state whose position the changelog has deleted is wiped and rebuilt from what is there, which is said with which, where and why.
func TestTruncatedChangelog(t *testing.T) {
	t.Parallel()
	l := openLog(t, false)
	app, in, out, dir := unique(t, "app"), unique(t, "in"), unique(t, "out"), t.TempDir()
	l.createTopics(t, 1, in, out)
	changelog := client.TopicPartition{Topic: app + "-counts-changelog"}
	end := func() int64 {
		t.Helper()
		ends, err := l.client.ListOffsets(t.Context(), client.HighWatermark, []client.TopicPartition{changelog})
		if err != nil {
			t.Fatal(err)
		}
		return ends[changelog]
	}
	l.write(t, in, numbered("v", 10))
	counted(t, l, app, in, out, dir)
	was := end()
	l.write(t, in, numbered("v", 10))
	counted(t, l, app, in, out, t.TempDir()) // another instance has gone on
	l.truncate(t, changelog, was+3)
	said := &lines{}
	r := l.start(t, fragile(t, in, out, never), runtime.Config{
		ApplicationID: app, StateDir: dir, Workers: 1, Logger: slog.New(slog.NewTextHandler(said, nil)),
	})
	l.write(t, in, numbered("v", 10))
	eventually(t, 30*time.Second, "it goes on", func() bool { return l.drained(t, app, in) })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if said.having("level=WARN", "store does not fit its changelog; wiping and rebuilding it", "task=0_0", "store=counts", "topic="+changelog.Topic,
		"partition=0", "below log start") == "" {
		t.Errorf("it says\n%s", said.b.String())
	}
	if said.having("level=WARN", "the changelog was truncated", "task=0_0", "store=counts", "topic="+changelog.Topic, "partition=0",
		fmt.Sprintf("the records of %s-0 below offset %d were deleted", changelog.Topic, was+3), "counts may be too low", "reset the application",
		"state directories") == "" {
		t.Errorf("it says\n%s", said.b.String())
	}
	counts := make(map[int64]int)
	last := make(map[string]int64)
	for _, c := range l.read(t, changelog.Topic) {
		last[c.key] = int64Of(c.value)
	}
	for _, n := range last {
		counts[n]++
	}
	if counts[3] != 7 || counts[1] != 3 { // what was deleted is forgotten, and no more
		t.Errorf("counts %v", last)
	}
}
