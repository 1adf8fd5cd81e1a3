//go:build !race

package client

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/brokertest"
)

// useUp begins n sessions on a connection of its own, without waiting for one before it asks for the next.
func useUp(t *testing.T, b *brokertest.Broker, id string, n int) {
	t.Helper()
	conn, err := b.Dial(testContext(t), "tcp", b.Brokers()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 4, kmsg.StringPtr(id), 10_000
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
	written := make(chan error, 1)
	go func() {
		w := bufio.NewWriterSize(conn, 64<<10)
		var err error
		for i := 0; i < n && err == nil; i++ {
			_, err = w.Write(frame)
		}
		written <- errors.Join(err, w.Flush())
	}()
	r := bufio.NewReaderSize(conn, 64<<10)
	var body []byte
	for range n {
		var size [4]byte
		_, err := io.ReadFull(r, size[:])
		if err == nil {
			body = append(body[:0], make([]byte, binary.BigEndian.Uint32(size[:]))...)
			_, err = io.ReadFull(r, body)
		}
		resp := req.ResponseKind()
		if err == nil {
			err = resp.ReadFrom(body[5:]) // behind the correlation id, and tags, of which there are none
		}
		if err == nil {
			err = kerr.ErrorForCode(resp.(*kmsg.InitProducerIDResponse).ErrorCode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

// The epochs of a producer id are used up by as many sessions, or as many transactions of version 2. The next one has a new producer id, and
// nothing is lost or written twice on the way, be it a session or the end of a transaction that gets there. (A real Kafka would take minutes,
// the race detector one.)
func TestEpochsAreUsedUp(t *testing.T) {
	t.Parallel()
	for _, v1 := range []bool{false, true} {
		t.Run(fmt.Sprintf("v1=%v", v1), func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t, brokertest.Memory())
			c := connect(t, Config{Brokers: b.Brokers(), Dial: b.Dial, transactionV1: v1})
			ctx := testContext(t)
			tp := TopicPartition{Topic: createTopic(t, c, 1)}
			p := newProducer(t, c, ProducerConfig{TransactionalID: unique("id")})
			session := func() session {
				p.mu.Lock()
				defer p.mu.Unlock()
				return p.mu.session
			}
			first := session()
			useUp(t, b, p.cfg.TransactionalID, math.MaxInt16-8)
			if err := p.Init(ctx); err != nil {
				t.Fatal(err)
			}
			if at := session(); at.id != first.id || at.epoch != first.epoch+math.MaxInt16-7 {
				t.Fatalf("session %+v after %+v", at, first)
			}
			var want []string
			ids := map[int64]bool{first.id: true}
			before := session()
			for i := range 12 {
				value := fmt.Sprint("value ", i)
				send(t, p, tp, value, value+" again")
				flush(t, p)
				commit := i%3 != 1
				end(t, p, commit)
				if commit {
					want = append(want, value, value+" again")
				}
				if v1 { // its epochs grow with sessions only
					if err := p.Init(ctx); err != nil {
						t.Fatal(err)
					}
				}
				now := session()
				if now == before || now.id == before.id && now.epoch < before.epoch {
					t.Fatalf("session %+v after %+v", now, before)
				}
				ids[now.id], before = true, now
			}
			if len(ids) != 2 || before.id == first.id || before.epoch > 12 {
				t.Errorf("producer ids %v, at last %+v", ids, before)
			}
			if got := read(t, c, FetcherConfig{}, tp, 0, len(want)); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
