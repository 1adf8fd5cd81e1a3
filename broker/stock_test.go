package broker_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// codecs are the names of the topics that programs in testdata/clients produce to, by the number of the codec.
var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// stock returns the directory with the clients of other makers, in which python is a path of Python's and node has node_modules.
func stock(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("MILLRACE_CLIENTS")
	if dir == "" {
		t.Skip("MILLRACE_CLIENTS, where step clients of .ci/run installs them, is not set")
	}
	return dir
}

// stockBroker listens, and hears of members of groups often.
func stockBroker(t testing.TB) *brokertest.Broker {
	t.Helper()
	return brokertest.Start(t, brokertest.Listen(), brokertest.Config(func(c *broker.Config) {
		c.GroupHeartbeatInterval, c.GroupSessionTimeout = 100*time.Millisecond, 10*time.Second
	}))
}

// command is bounded by five minutes and by the test.
func command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, name, args...)
}

// TestStockLibrdkafka runs testdata/clients/librdkafka.py: every codec, a KIP-848 group with a pattern and a rebalance, transactions.
func TestStockLibrdkafka(t *testing.T) {
	t.Parallel()
	const total = 100_000
	dir, b := stock(t), stockBroker(t)
	cmd := command(t, "python3", "testdata/clients/librdkafka.py", b.Addr().String(), fmt.Sprint(total))
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(dir, "python"))
	prints(t, cmd, fmt.Sprintf("consumed %d many twice False both True\ncopied %d read %d aborted 0\n", total, total/5, total/5))
	compressed(t, b, codecs, total/5)
}

// TestStockKafkaJS runs testdata/clients/kafkajs.js, whose client speaks the protocol of Kafka 2: three codecs, a classic group with a
// rebalance, transactions, administration.
func TestStockKafkaJS(t *testing.T) {
	t.Parallel()
	const total = 100_000 - 100_000%3
	dir, b := stock(t), stockBroker(t)
	cmd := command(t, "node", "testdata/clients/kafkajs.js", b.Addr().String(), fmt.Sprint(total))
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node", "node_modules"))
	prints(t, cmd, fmt.Sprintf("consumed %d many twice false both true\ncopied %d read %d aborted 0\n"+
		"committed %d groups copiers,readers,shared low 10 left from-gzip,from-none,from-snappy,to\n", total, total/3, total/3, total/3))
	compressed(t, b, codecs[:3], total/3)
}

// compressed looks at the stored batches of the topics that are named after the codecs, of so many records each.
func compressed(t testing.TB, b *brokertest.Broker, codecs []string, records int) {
	t.Helper()
	for codec, name := range codecs {
		cl := client(t, b, kgo.ConsumeTopics("from-"+name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		seen, kept := 0, 0 // a small batch that no codec makes smaller is sent without
		for seen < records {
			fs := cl.PollFetches(testContext(t))
			if err := fs.Err(); err != nil {
				t.Fatal(err)
			}
			fs.EachRecord(func(r *kgo.Record) {
				seen++
				if int(r.Attrs.CompressionType()) == codec {
					kept++
				}
			})
		}
		if kept < records/2 {
			t.Errorf("%d of %d records are kept with %s", kept, seen, name)
		}
	}
}

// prints runs a program that is to print want and nothing else.
func prints(t testing.TB, cmd *exec.Cmd, want string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

// TestStockFranzGo runs the integration tests of franz-go, but those of what this broker does not have: a topic with the offsets of groups
// (DESIGN D8), share groups and OAUTHBEARER, which they skip.
func TestStockFranzGo(t *testing.T) {
	t.Parallel()
	stock(t)
	b, secure := brokertest.Start(t, brokertest.Listen()), brokertest.Start(t, secured(nil))
	cmd := command(t, "go", "test", "-count=1", "-timeout=280s", "-skip=^(TestConsumeRegex|Test848RegexBrokerResolves)$", "github.com/twmb/franz-go/pkg/kgo")
	cmd.Env = append(os.Environ(), "KGO_LOG_LEVEL=none", "KGO_SEEDS="+b.Addr().String(), "KGO_TEST_RF=1", "KGO_TEST_UNSAFE=1", "KGO_TEST_RECORDS=100000",
		"KGO_TEST_SCRAM_SEEDS="+secure.Addr().String(), "KGO_TEST_SCRAM=alice:alice-secret")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "ok ") {
		t.Errorf("%v\n%s", err, out)
	}
}
