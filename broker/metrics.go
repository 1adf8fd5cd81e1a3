package broker

import (
	"context"
	"reflect"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/server"
)

const (
	maxMeteredKey  = 127
	maxMeteredCode = 199
)

// meters count what goes by. They are plain counters: instruments read them when they are collected. It is the server's Observer.
type meters struct {
	requests, failed  [maxMeteredKey + 1]atomic.Int64  // by key
	codes             [maxMeteredCode + 2]atomic.Int64 // by error code + 1
	received, sent    atomic.Int64
	refused, rejected atomic.Int64 // connections, and authentications
	registration      metric.Registration
}

// Request implements server.Observer.
func (m *meters) Request(key int16, bytes int) {
	m.received.Add(int64(bytes))
	if key >= 0 && key <= maxMeteredKey {
		m.requests[key].Add(1)
	}
}

// Response implements server.Observer.
func (m *meters) Response(key int16, bytes int64, resp server.Response, err error) {
	m.sent.Add(bytes)
	code := resp.Code
	if resp.Body != nil {
		code = firstError(reflect.ValueOf(resp.Body))
	}
	if code == 0 && err == nil {
		return
	}
	if key >= 0 && key <= maxMeteredKey {
		m.failed[key].Add(1)
	}
	if code == 0 {
		return // the connection closes, and the client learns of nothing
	}
	if code == kerr.SaslAuthenticationFailed.Code {
		m.rejected.Add(1)
	}
	if code >= -1 && code <= maxMeteredCode {
		m.codes[code+1].Add(1)
	}
}

// Refused implements server.Observer.
func (m *meters) Refused() { m.refused.Add(1) }

// firstError finds the first error code in a response. Only the fields that may hold one are looked at: it allocates nothing.
func firstError(v reflect.Value) int16 {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return firstError(v.Elem())
		}
	case reflect.Slice:
		if k := v.Type().Elem().Kind(); k != reflect.Struct {
			return 0
		}
		for i := range v.Len() {
			if code := firstError(v.Index(i)); code != 0 {
				return code
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			if f.Kind() == reflect.Int16 {
				if v.Type().Field(i).Name == "ErrorCode" && f.Int() != 0 {
					return int16(f.Int())
				}
				continue
			}
			if k := f.Kind(); k == reflect.Slice || k == reflect.Struct || k == reflect.Pointer {
				if code := firstError(f); code != 0 {
					return code
				}
			}
		}
	}
	return 0
}

// instruments are the broker's.
type instruments struct {
	requests, failed, errors, network, refused, rejected  metric.Int64ObservableCounter
	entries, written, syncs                               metric.Int64ObservableCounter
	syncTime                                              metric.Float64ObservableCounter
	connections, partitions, segments, size, groups, txns metric.Int64ObservableUpDownCounter
	logStart, stable, end                                 metric.Int64ObservableGauge
	all                                                   []metric.Observable
	fault                                                 error
}

func (n *instruments) counter(m metric.Meter, name, unit, what string) metric.Int64ObservableCounter {
	c, err := m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
	return keep(n, c, err)
}

func (n *instruments) upDown(m metric.Meter, name, unit, what string) metric.Int64ObservableUpDownCounter {
	c, err := m.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
	return keep(n, c, err)
}

func (n *instruments) gauge(m metric.Meter, name, unit, what string) metric.Int64ObservableGauge {
	c, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
	return keep(n, c, err)
}

func keep[I metric.Observable](n *instruments, i I, err error) I {
	if n.fault == nil {
		n.fault = err
	}
	n.all = append(n.all, i)
	return i
}

// register makes the instruments, if there is a provider.
func (b *Broker) register() error {
	if b.meters == nil {
		return nil
	}
	m := b.cfg.Metrics.Meter("github.com/millrace-io/millrace/broker")
	n := &instruments{}
	n.requests = n.counter(m, "kafka.request.count", "{request}", "Requests received, by type.")
	n.failed = n.counter(m, "kafka.request.failed", "{request}", "Requests answered with an error, or not at all, by type.")
	n.errors = n.counter(m, "kafka.request.errors", "{error}", "Requests answered with an error, by its code.")
	n.network = n.counter(m, "kafka.network.io", "By", "Bytes of requests and responses.")
	n.refused = n.counter(m, "millrace.broker.connections.refused", "{connection}", "Connections over a limit.")
	n.rejected = n.counter(m, "millrace.broker.authentications.failed", "{attempt}", "SASL authentications that failed.")
	n.entries = n.counter(m, "millrace.broker.journal.entries", "{entry}", "Journal entries made durable; by syncs: the size of a group.")
	n.written = n.counter(m, "millrace.broker.journal.written", "By", "Bytes written to the journal.")
	n.syncs = n.counter(m, "millrace.broker.journal.syncs", "{sync}", "Syncs of the journal.")
	n.connections = n.upDown(m, "millrace.broker.connections", "{connection}", "Open connections.")
	n.partitions = n.upDown(m, "kafka.partition.count", "{partition}", "Partitions.")
	n.segments = n.upDown(m, "millrace.broker.segments", "{segment}", "Segment files.")
	n.size = n.upDown(m, "millrace.broker.log.size", "By", "Bytes of record batches, on disk or in memory.")
	n.groups = n.upDown(m, "millrace.broker.groups", "{group}", "Consumer groups, by state.")
	n.txns = n.upDown(m, "millrace.broker.transactions", "{transaction}", "Transactional ids, by the state of their last transaction.")
	n.logStart = n.gauge(m, "millrace.broker.log.start_offset", "{record}", "The first offset of a partition.")
	n.stable = n.gauge(m, "millrace.broker.log.stable_offset", "{record}", "The last stable offset of a partition: what read_committed clients can read.")
	n.end = n.gauge(m, "millrace.broker.log.end_offset", "{record}", "The offset after the last record of a partition.")
	syncTime, err := m.Float64ObservableCounter("millrace.broker.journal.sync_time", metric.WithUnit("s"), metric.WithDescription("Time that syncs of the journal took."))
	n.syncTime = keep(n, syncTime, err)
	if n.fault != nil {
		return n.fault
	}
	b.meters.registration, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		b.observe(o, n)
		return nil
	}, n.all...)
	return err
}

// unregister takes the instruments back. It waits for a collection under way.
func (m *meters) unregister() error {
	if m == nil || m.registration == nil {
		return nil
	}
	return m.registration.Unregister()
}

// observe tells everything. It runs beside serving.
func (b *Broker) observe(o metric.Observer, n *instruments) {
	m := b.meters
	for key := range m.requests {
		if count := m.requests[key].Load(); count > 0 {
			kind := metric.WithAttributes(attribute.String("type", kmsg.NameForKey(int16(key))))
			o.ObserveInt64(n.requests, count, kind)
			o.ObserveInt64(n.failed, m.failed[key].Load(), kind)
		}
	}
	for i := range m.codes {
		if count := m.codes[i].Load(); count > 0 {
			o.ObserveInt64(n.errors, count, metric.WithAttributes(attribute.String("error.type", codeName(int16(i-1)))))
		}
	}
	o.ObserveInt64(n.network, m.received.Load(), metric.WithAttributes(attribute.String("network.io.direction", "receive")))
	o.ObserveInt64(n.network, m.sent.Load(), metric.WithAttributes(attribute.String("network.io.direction", "transmit")))
	o.ObserveInt64(n.refused, m.refused.Load())
	o.ObserveInt64(n.rejected, m.rejected.Load())
	o.ObserveInt64(n.connections, int64(b.server.Connections()))
	b.observeLog(o, n)
	groups, _ := b.coord.ListGroups(nil, nil)
	states := map[string]int64{}
	for i := range groups {
		states[groups[i].State]++
	}
	observeStates(o, n.groups, states)
	all, _, _ := b.coord.Transactions()
	states = map[string]int64{}
	for i := range all {
		states[all[i].State]++
	}
	observeStates(o, n.txns, states)
}

func observeStates(o metric.Observer, i metric.Int64Observable, states map[string]int64) {
	for state, count := range states {
		o.ObserveInt64(i, count, metric.WithAttributes(attribute.String("state", state)))
	}
}

func (b *Broker) observeLog(o metric.Observer, n *instruments) {
	j := b.log.JournalStats()
	o.ObserveInt64(n.entries, j.Entries)
	o.ObserveInt64(n.written, j.Bytes)
	o.ObserveInt64(n.syncs, j.Syncs)
	o.ObserveFloat64(n.syncTime, j.SyncTime.Seconds())
	var partitions, segments, size int64
	b.log.EachPartition(func(p commitlog.PartitionStats) {
		partitions++
		segments += int64(p.Segments)
		size += p.Bytes
		of := metric.WithAttributes(attribute.String("messaging.destination.name", p.Topic), attribute.Int("messaging.destination.partition.id", int(p.Partition)))
		o.ObserveInt64(n.logStart, p.LogStart, of)
		o.ObserveInt64(n.stable, p.LastStable, of)
		o.ObserveInt64(n.end, p.End, of)
	})
	o.ObserveInt64(n.partitions, partitions)
	o.ObserveInt64(n.segments, segments)
	o.ObserveInt64(n.size, size)
}

func codeName(code int16) string {
	if err := kerr.TypedErrorForCode(code); err != nil {
		return err.Message
	}
	return "UNKNOWN"
}
