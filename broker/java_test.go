package broker_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// javaTimeout is for one run of a Java program, on a busy machine.
const javaTimeout = 3 * time.Minute

// java returns a command that runs one of Kafka's own programs against the broker. It skips the test without Kafka's jars.
func java(t testing.TB, b *brokertest.Broker, class string, args ...string) *exec.Cmd {
	t.Helper()
	classpath := os.Getenv("MILLRACE_KAFKA_CLASSPATH")
	if classpath == "" {
		t.Skip("MILLRACE_KAFKA_CLASSPATH, what `.ci/kafka/kafka classpath` prints, is not set")
	}
	ctx, cancel := context.WithTimeout(context.Background(), javaTimeout)
	t.Cleanup(cancel)
	args = append([]string{"-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", classpath, class, "--bootstrap-server", b.Addr().String()}, args...)
	return exec.CommandContext(ctx, "java", args...)
}

// javaConsumer is Kafka's console consumer as a member of group "j".
type javaConsumer struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when all its output was read

	mu   sync.Mutex
	seen map[string]int
}

// startJavaConsumer starts one that speaks a protocol (group.protocol): "classic" or "consumer", which is that of KIP-848.
func startJavaConsumer(t testing.TB, b *brokertest.Broker, protocol string) *javaConsumer {
	t.Helper()
	c := &javaConsumer{seen: map[string]int{}, done: make(chan struct{}), cmd: java(t, b, "org.apache.kafka.tools.consumer.ConsoleConsumer",
		"--topic", "t", "--group", "j", "--from-beginning", "--command-property", "group.protocol="+protocol)}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			c.mu.Lock()
			c.seen[lines.Text()]++
			c.mu.Unlock()
		}
	}()
	t.Cleanup(func() { c.stop() })
	return c
}

// stop has the consumer leave, as by a Ctrl-C, and waits for it.
func (c *javaConsumer) stop() {
	_ = c.cmd.Process.Signal(os.Interrupt) // it may have ended
	<-c.done
	_ = c.cmd.Wait() // it ends by the signal, which is no success
}

func (c *javaConsumer) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// TestJavaConsumerGroup: Kafka's own clients share a topic by the protocol of KIP-848, with batches of every codec, and hand it over; its
// tool says that all was consumed.
func TestJavaConsumerGroup(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Listen(), brokertest.Config(func(c *broker.Config) {
		c.GroupHeartbeatInterval, c.GroupSessionTimeout = 100*time.Millisecond, 10*time.Second
	}))
	one := startJavaConsumer(t, b, "consumer")
	createTopic(t, client(t, b), "t", 4)
	const each = 20_000
	produce := func(from int, codec kgo.CompressionCodec) {
		t.Helper()
		cl := client(t, b, kgo.ProducerBatchCompression(codec))
		if err := cl.ProduceSync(testContext(t), numbered("t", from, from+each)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	produce(0, kgo.NoCompression())
	produce(each, kgo.GzipCompression())
	patiently(t, "the first consumes", func() bool { return one.count() == 2*each })
	two := startJavaConsumer(t, b, "consumer")
	patiently(t, "both are members", func() bool {
		d := describeConsumers(t, client(t, b), "j")
		return d.State == "Stable" && len(d.Members) == 2
	})
	produce(2*each, kgo.SnappyCompression())
	produce(3*each, kgo.Lz4Compression())
	patiently(t, "both consume", func() bool { return one.count()+two.count() == 4*each })
	if two.count() == 0 {
		t.Error("the second was given nothing")
	}
	one.stop()
	produce(4*each, kgo.ZstdCompression())
	patiently(t, "the second takes over", func() bool { return one.count()+two.count() == 5*each })
	two.stop()
	for _, c := range []*javaConsumer{one, two} {
		for v, times := range c.seen {
			if times != 1 {
				t.Errorf("%s was consumed %d times", v, times)
			}
		}
	}
	out, err := java(t, b, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--describe", "--group", "j").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rows := 0
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 5 && f[0] == "j" {
			rows++
			if f[3] != f[4] || f[5] != "0" {
				t.Errorf("not consumed: %s", line)
			}
		}
	}
	if rows != 4 {
		t.Errorf("4 partitions, but %d rows: %s", rows, out)
	}
}

// TestJavaConsumersMigrateOnline: Kafka's own clients go over from the classic protocol to that of KIP-848, and back, one by one, and consume
// everything once.
func TestJavaConsumersMigrateOnline(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Listen(), brokertest.Config(func(c *broker.Config) {
		c.GroupHeartbeatInterval, c.GroupSessionTimeout = 100*time.Millisecond, javaTimeout
	}))
	cl := client(t, b)
	createTopic(t, cl, "t", 4)
	const each = 500
	var all []*javaConsumer
	produced := 0
	start := func(protocol string) *javaConsumer {
		c := startJavaConsumer(t, b, protocol)
		all = append(all, c)
		return c
	}
	settle := func(state string) {
		t.Helper()
		patiently(t, "the group is "+state, func() bool { return groupType(t, cl, "j") == state })
		if err := cl.ProduceSync(testContext(t), numbered("t", produced, produced+each)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		produced += each
		patiently(t, "all is consumed", func() bool {
			n := 0
			for _, c := range all {
				n += c.count()
			}
			return n >= produced
		})
	}
	members := func(n int) func() bool {
		return func() bool {
			d := describeConsumers(t, cl, "j")
			return len(d.Members) == n && d.State == "Stable"
		}
	}
	one := start("classic")
	settle("classic Stable")
	two := start("consumer")
	patiently(t, "they share", func() bool { return groupType(t, cl, "j") == "consumer Stable" })
	settle("consumer Stable")
	one.stop()
	patiently(t, "the first leaves", members(1))
	settle("consumer Stable")
	three := start("classic")
	patiently(t, "a classic one joins", members(2))
	settle("consumer Stable")
	two.stop()
	settle("classic Stable")
	three.stop()
	seen := map[string]int{}
	for i, c := range all {
		if c.count() == 0 {
			t.Errorf("consumer %d was given nothing", i+1)
		}
		for v, times := range c.seen {
			seen[v] += times
		}
	}
	for v, times := range seen {
		if times != 1 {
			t.Errorf("%s was consumed %d times", v, times)
		}
	}
	if len(seen) != produced {
		t.Errorf("%d of %d records", len(seen), produced)
	}
}

// patiently is eventually, for what Java does.
func patiently(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(javaTimeout); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
