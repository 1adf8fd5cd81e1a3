package broker_test

import (
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// randomize sets every field of v to something that is mostly well-formed and mostly wrong.
func randomize(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() && v.Type().Field(i).Name != "Version" && v.Type() != reflect.TypeFor[kmsg.Tags]() {
				randomize(r, f)
			}
		}
	case reflect.Pointer:
		if r.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			randomize(r, v.Elem())
		}
	case reflect.Slice:
		n := r.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			randomize(r, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			randomize(r, v.Index(i))
		}
	case reflect.String:
		v.SetString([]string{"", "t", "g", "tx", "range", "no such thing", "cleanup.policy", "\x00\xff"}[r.IntN(8)])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 1)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n := []int64{-1 << 63, -2, -1, 0, 1, 2, 3, 100, 1 << 30, 1<<63 - 1}[r.IntN(10)]
		if v.OverflowInt(n) {
			n >>= 64 - v.Type().Bits()
		}
		v.SetInt(n)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(r.IntN(256)))
	}
}

// TestRandomRequests sends well-formed nonsense of every key and version, on a broker that holds something. Nothing panics,
// every request is answered or its connection closed, and the broker goes on.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.Memory())
	cl := client(t, b)
	createTopic(t, cl, "t", 2)
	initProducer(t, cl, "tx", time.Minute)
	keep := raw[*kmsg.ApiVersionsResponse](t, cl, &kmsg.ApiVersionsRequest{ClientSoftwareName: "test", ClientSoftwareVersion: "1"})
	for _, k := range keep.ApiKeys {
		t.Run(kmsg.NameForKey(k.ApiKey), func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, uint64(k.ApiKey)))
			var c *rawConn
			for i := range 300 {
				if c == nil || i%16 == 0 {
					c = dialRaw(t, b)
				}
				req := kmsg.RequestForKey(k.ApiKey)
				req.SetVersion(k.MinVersion + int16(r.IntN(int(k.MaxVersion-k.MinVersion)+1)))
				randomize(r, reflect.ValueOf(req).Elem())
				calm(req)
				if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, int32(i))); err != nil {
					c = nil
					continue
				}
				go func(c net.Conn) { // whatever comes is thrown away
					buf := make([]byte, 4096)
					for {
						if _, err := c.Read(buf); err != nil {
							return
						}
					}
				}(c)
			}
			if r := ask[*kmsg.MetadataResponse](t, dialRaw(t, b), 9, kmsg.NewPtrMetadataRequest()); len(r.Brokers) != 1 {
				t.Error("the broker does not answer")
			}
		})
	}
	b.Crash(t, 0, 1) // what is there can be recovered
}

// calm takes waiting out of a request.
func calm(req kmsg.Request) {
	switch r := req.(type) {
	case *kmsg.FetchRequest:
		r.MaxWaitMillis = min(r.MaxWaitMillis, 1)
	case *kmsg.CreateTopicsRequest:
		for i := range r.Topics {
			r.Topics[i].NumPartitions = min(r.Topics[i].NumPartitions, 3)
		}
	}
}

// TestPromisesCostNothing: connections that promise large frames and send little do not keep others from being answered,
// nor take memory for what they promise.
func TestPromisesCostNothing(t *testing.T) {
	b := brokertest.Start(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		c := dialRaw(t, b)
		if _, err := c.Write(append([]byte{0x06, 0x30, 0, 0, 0, 0, 0, 9}, make([]byte, 4<<10)...)); err != nil { // 99 MiB of Produce
			t.Fatal(err)
		}
	}
	if r := ask[*kmsg.MetadataResponse](t, dialRaw(t, b), 9, kmsg.NewPtrMetadataRequest()); len(r.Brokers) != 1 {
		t.Error("no answer")
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("%d bytes for 100 promises", grown)
	}
}

// TestNothingIsLeftRunning opens, uses and closes brokers, with clients that never hang up, and counts goroutines.
func TestNothingIsLeftRunning(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 2 {
		b, err := broker.Open(t.Context(), broker.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		tb := &brokertest.Broker{Broker: b}
		c := dialRaw(t, tb)
		ask[*kmsg.MetadataResponse](t, c, 9, kmsg.NewPtrMetadataRequest())
		join := kmsg.NewPtrJoinGroupRequest()
		join.Group, join.ProtocolType, join.SessionTimeoutMillis = "g", "consumer", 10_000
		join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
		ask[*kmsg.JoinGroupResponse](t, c, 3, join)
		waiting := dialRaw(t, tb)
		waiting.send(t, 3, join) // waits for the first to join again
		go func() { _, _ = io.Copy(io.Discard, waiting) }()
		deaf := dialRaw(t, tb) // never reads its answer
		deaf.send(t, 12, fetchRequest("nowhere", 0, time.Hour))
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "all goroutines of the broker have ended", func() bool { return runtime.NumGoroutine() <= before })
}
