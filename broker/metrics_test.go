package broker_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/millrace-io/millrace/broker"
	"github.com/millrace-io/millrace/broker/brokertest"
)

// collector is a meter provider that collects when it is asked to.
type collector struct {
	embedded.MeterProvider
	mu        sync.Mutex
	callbacks map[*registration]metric.Callback
	faults    []string
}

func newCollector() *collector { return &collector{callbacks: map[*registration]metric.Callback{}} }

func (c *collector) Meter(string, ...metric.MeterOption) metric.Meter { return meter{c: c} }

type meter struct {
	noop.Meter
	c *collector
}

type instrument struct {
	noop.Int64ObservableCounter
	name string
}

type upDown struct {
	noop.Int64ObservableUpDownCounter
	name string
}

type gauge struct {
	noop.Int64ObservableGauge
	name string
}

type seconds struct {
	noop.Float64ObservableCounter
	name string
}

// named checks what every instrument has to have.
func (m meter) named(name, unit, description string) string {
	if unit == "" || description == "" || strings.ToLower(name) != name {
		m.c.faults = append(m.c.faults, name)
	}
	return name
}

func (m meter) Int64ObservableCounter(name string, opts ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	cfg := metric.NewInt64ObservableCounterConfig(opts...)
	return instrument{name: m.named(name, cfg.Unit(), cfg.Description())}, nil
}

func (m meter) Int64ObservableUpDownCounter(name string, opts ...metric.Int64ObservableUpDownCounterOption) (metric.Int64ObservableUpDownCounter, error) {
	cfg := metric.NewInt64ObservableUpDownCounterConfig(opts...)
	return upDown{name: m.named(name, cfg.Unit(), cfg.Description())}, nil
}

func (m meter) Int64ObservableGauge(name string, opts ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	cfg := metric.NewInt64ObservableGaugeConfig(opts...)
	return gauge{name: m.named(name, cfg.Unit(), cfg.Description())}, nil
}

func (m meter) Float64ObservableCounter(name string, opts ...metric.Float64ObservableCounterOption) (metric.Float64ObservableCounter, error) {
	cfg := metric.NewFloat64ObservableCounterConfig(opts...)
	return seconds{name: m.named(name, cfg.Unit(), cfg.Description())}, nil
}

type registration struct {
	embedded.Registration
	c *collector
}

func (r *registration) Unregister() error {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	delete(r.c.callbacks, r)
	return nil
}

func (m meter) RegisterCallback(f metric.Callback, _ ...metric.Observable) (metric.Registration, error) {
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	r := &registration{c: m.c}
	m.c.callbacks[r] = f
	return r, nil
}

// observation is what a collection finds: values by name and attributes.
type observation struct {
	embedded.Observer
	values map[string]float64
}

func (o *observation) put(name string, attributes attribute.Set, v float64) {
	for _, kv := range attributes.ToSlice() {
		name += fmt.Sprintf(" %s=%v", kv.Key, kv.Value.AsInterface())
	}
	o.values[name] += v
}

func (o *observation) ObserveInt64(i metric.Int64Observable, v int64, opts ...metric.ObserveOption) {
	attributes := metric.NewObserveConfig(opts).Attributes()
	switch i := i.(type) {
	case instrument:
		o.put(i.name, attributes, float64(v))
	case upDown:
		o.put(i.name, attributes, float64(v))
	case gauge:
		o.put(i.name, attributes, float64(v))
	}
}

func (o *observation) ObserveFloat64(i metric.Float64Observable, v float64, opts ...metric.ObserveOption) {
	o.put(i.(seconds).name, metric.NewObserveConfig(opts).Attributes(), v)
}

func (c *collector) collect(t testing.TB) map[string]float64 {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &observation{values: map[string]float64{}}
	for _, f := range c.callbacks {
		if err := f(context.Background(), o); err != nil {
			t.Fatal(err)
		}
	}
	return o.values
}

// TestMetrics: what was done is counted, and what is there is told.
func TestMetrics(t *testing.T) {
	t.Parallel()
	c := newCollector()
	b := brokertest.Start(t, secured(nil), brokertest.Config(func(cfg *broker.Config) { cfg.Metrics = c }))
	cl := client(t, b, kgo.ProducerBatchCompression(kgo.NoCompression()))
	createTopic(t, cl, "t", 2)
	if err := cl.ProduceSync(testContext(t), &kgo.Record{Topic: "t", Key: []byte("k"), Value: make([]byte, 5000)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	consume(t, client(t, b, kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 1)
	initProducer(t, cl, "tx", time.Minute)
	if err := kadm.NewClient(cl).CommitAllOffsets(testContext(t), "g", kadm.OffsetsFromRecords(kgo.Record{Topic: "t", Offset: 1, LeaderEpoch: -1})); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(cl).ListStartOffsets(testContext(t), "missing"); err != nil {
		t.Fatal(err)
	}
	if err := connects(t, b, kgo.SASL(mechanisms("alice", "wrong")[broker.Plain])); err == nil {
		t.Fatal("a wrong password")
	}
	got := map[string]float64{}
	eventually(t, "the last answers are counted", func() bool { // they are once they are written, and so a moment after they are read
		got = c.collect(t)
		return got["millrace.broker.authentications.failed"] == 1 && got["kafka.network.io network.io.direction=transmit"] >= 5000
	})
	for name, want := range map[string]float64{
		"kafka.request.count type=CreateTopics":                      1,
		"kafka.request.failed type=CreateTopics":                     0,
		"kafka.request.failed type=SASLAuthenticate":                 1,
		"kafka.request.errors error.type=SASL_AUTHENTICATION_FAILED": 1,
		"millrace.broker.authentications.failed":                     1,
		"millrace.broker.connections.refused":                        0,
		"kafka.partition.count":                                      2,
		"millrace.broker.segments":                                   0,
		"millrace.broker.groups state=Empty":                         1,
		"millrace.broker.transactions state=Empty":                   1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s = %v, %v; want %v", name, v, ok, want)
		}
	}
	for name, least := range map[string]float64{
		"kafka.request.count type=Produce": 1, "kafka.request.count type=Fetch": 1, "kafka.network.io network.io.direction=receive": 5000,
		"kafka.network.io network.io.direction=transmit": 5000, "millrace.broker.journal.entries": 4, "millrace.broker.journal.syncs": 1,
		"millrace.broker.journal.written": 5000, "millrace.broker.journal.sync_time": 1e-9, "millrace.broker.connections": 2, "millrace.broker.log.size": 5000,
	} {
		if got[name] < least {
			t.Errorf("%s = %v, want at least %v", name, got[name], least)
		}
	}
	for _, what := range []string{"start", "stable", "end"} {
		var sum float64
		for p := range 2 {
			v, ok := got[fmt.Sprintf("millrace.broker.log.%s_offset messaging.destination.name=t messaging.destination.partition.id=%d", what, p)]
			if sum += v; !ok {
				t.Errorf("no %s offset of partition %d", what, p)
			}
		}
		if want := map[string]float64{"start": 0, "stable": 1, "end": 1}[what]; sum != want {
			t.Errorf("%s offsets sum up to %v, want %v", what, sum, want)
		}
	}
	if len(c.faults) > 0 {
		t.Errorf("instruments without unit or description: %q", c.faults)
	}
	if err := b.Close(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if after := c.collect(t); len(after) != 0 {
		t.Errorf("after Close: %v", after)
	}
}

// TestMetricsAllocateNothing: counting a request and its answer takes no memory, whatever is in it.
func TestMetricsAllocateNothing(t *testing.T) {
	c := newCollector()
	plain, metered := brokertest.Start(t), brokertest.Start(t, brokertest.Config(func(cfg *broker.Config) { cfg.Metrics = c }))
	allocations := func(b *brokertest.Broker) float64 {
		createTopic(t, client(t, b), "t", 1)
		conn := dialRaw(t, b)
		batch := rawBatch(-1, -1, -1, "x")
		return testing.AllocsPerRun(300, func() { ask[*kmsg.ProduceResponse](t, conn, 12, produceRequest("t", 0, batch)) })
	}
	without, with := allocations(plain), allocations(metered)
	if with > without+2 { // goroutines of the broker allocate as they like
		t.Errorf("%v allocations for a request, %v without metrics", with, without)
	}
}
