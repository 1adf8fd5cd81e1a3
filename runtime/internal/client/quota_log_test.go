package client

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A real Kafka with a quota for the client says for how long it is to wait, and the client does.
func TestQuota(t *testing.T) {
	t.Parallel()
	address := os.Getenv("MILLRACE_KAFKA")
	if address == "" {
		t.Skip("MILLRACE_KAFKA=host:port does not name a Kafka")
	}
	id := unique("quota")
	c := connect(t, Config{Brokers: strings.Split(address, ","), ClientID: id})
	const bytesPerSecond = 5000
	setQuota(t, c, id, bytesPerSecond)
	tp := TopicPartition{Topic: createTopic(t, c, 1)}
	p := newProducer(t, c, ProducerConfig{})
	node := func() int32 {
		topics, err := c.Topics(testContext(t), tp.Topic)
		if err != nil {
			t.Fatal(err)
		}
		topic := topics[tp.Topic]
		return topic.leader(tp.Partition).Leader
	}
	// Kafka counts over about ten seconds: this is a tenth too much for them. The quota may take a moment to be known.
	var held time.Duration
	for tries := 0; held == 0; tries++ {
		if tries == 20 {
			t.Fatal("the quota has no effect")
		}
		send(t, p, tp, strings.Repeat("x", 11*bytesPerSecond))
		flush(t, p)
		held = p.throttle.hold(node(), time.Now())
	}
	until := time.Now().Add(held)
	send(t, p, tp, "next")
	flush(t, p)
	if early := time.Until(until); early > 10*time.Millisecond { // the clocks of the hook and of this test were read one after the other
		t.Errorf("written %v before the end of %v", early, held)
	}
	t.Logf("held back for %v", held)
}

// setQuota bounds the bytes that a client may produce in a second.
func setQuota(t *testing.T, c *Client, clientID string, bytesPerSecond float64) {
	t.Helper()
	req := kmsg.NewPtrAlterClientQuotasRequest()
	entry := kmsg.NewAlterClientQuotasRequestEntry()
	entity := kmsg.NewAlterClientQuotasRequestEntryEntity()
	entity.Type, entity.Name = "client-id", kmsg.StringPtr(clientID)
	op := kmsg.NewAlterClientQuotasRequestEntryOp()
	op.Key, op.Value = "producer_byte_rate", bytesPerSecond
	entry.Entity, entry.Ops = append(entry.Entity, entity), append(entry.Ops, op)
	req.Entries = append(req.Entries, entry)
	resp, err := req.RequestWith(testContext(t), c.conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range resp.Entries {
		if err := kerr.ErrorForCode(e.ErrorCode); err != nil {
			t.Fatal(err)
		}
	}
}
