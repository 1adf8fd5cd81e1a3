package broker_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// TestLibrdkafka runs testdata/clients/librdkafka.py: every codec, a KIP-848 group with a pattern and a rebalance, transactions. The codecs
// are looked for in the stored batches. MILLRACE_PYTHONPATH is where Python finds confluent_kafka.
func TestLibrdkafka(t *testing.T) {
	t.Parallel()
	path := os.Getenv("MILLRACE_PYTHONPATH")
	if path == "" {
		t.Skip("MILLRACE_PYTHONPATH, where confluent_kafka is, is not set")
	}
	b := brokertest.Start(t, brokertest.Listen(), brokertest.Config(func(c *broker.Config) {
		c.GroupHeartbeatInterval, c.GroupSessionTimeout = 100*time.Millisecond, 10*time.Second
	}))
	const total = 100_000
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "python3", "testdata/clients/librdkafka.py", b.Addr().String(), fmt.Sprint(total))
	cmd.Env = append(os.Environ(), "PYTHONPATH="+path)
	out, err := cmd.CombinedOutput()
	want := fmt.Sprintf("consumed %d more than batches twice False both True\ncopied %d read %d aborted 0\n", total, total/5, total/5)
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	for codec, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		cl := client(t, b, kgo.ConsumeTopics("from-"+name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		seen, kept := 0, 0 // a small batch that no codec makes smaller is sent without
		for seen < total/5 {
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
		if kept < total/10 {
			t.Errorf("%d of %d records are kept with %s", kept, seen, name)
		}
	}
}
