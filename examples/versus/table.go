package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// printer lays rows out in columns, and remembers the first error.
type printer struct {
	out  io.Writer
	w    *tabwriter.Writer
	rows int
	err  error
}

func newPrinter(out io.Writer) printer {
	return printer{out: out, w: tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)}
}

func (p *printer) row(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format+"\t\n", args...); p.err == nil {
		p.err = err
	}
}

// end prints the rows, if there are any, and what is to be said about them.
func (p *printer) end(legend string) error {
	if p.rows == 0 {
		return p.err
	}
	if err := cmp.Or(p.err, p.w.Flush()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.out, "%s\n\n", legend)
	return err
}

// median returns the median of a figure over runs.
func median[R any, T cmp.Ordered](runs []R, of func(R) T) (none T) {
	if len(runs) == 0 {
		return none
	}
	figures := make([]T, len(runs))
	for i, r := range runs {
		figures[i] = of(r)
	}
	slices.Sort(figures)
	return figures[len(figures)/2]
}

// dash is what stands where there is no figure.
const dash = "–"

func micros(ns float64) string {
	if ns == 0 {
		return dash
	}
	return fmt.Sprintf("%.2f", ns/1000)
}

func times(theirs, ours float64) string {
	if theirs == 0 || ours == 0 {
		return dash
	}
	return fmt.Sprintf("%.1f×", theirs/ours)
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f", float64(n)/(1<<20)) }

// throughputTable has a row for each case and side.
type throughputTable struct{ printer }

func newThroughputTable(out io.Writer) *throughputTable { return &throughputTable{newPrinter(out)} }

// totals are the medians of one side, in ns a record.
type totals struct{ app, broker, both, steady, steadyApp, rate float64 }

func totalsOf(runs []figures, records int64) totals {
	n := float64(records)
	return totals{
		app:       median(runs, func(f figures) float64 { return float64(f.app) / n }),
		broker:    median(runs, func(f figures) float64 { return float64(f.broker) / n }),
		both:      median(runs, func(f figures) float64 { return float64(f.app+f.broker) / n }),
		steady:    median(runs, func(f figures) float64 { return f.steady }),
		steadyApp: median(runs, func(f figures) float64 { return f.steadyApp }),
		rate:      median(runs, func(f figures) float64 { return f.rate }),
	}
}

// ratio is how many times the processor time, application and broker together, Kafka Streams needs of what the embedded broker and its
// application need; on Kafka, whose broker is the same, the applications are compared. The steady part counts if both have one.
func (t totals) ratio(peer totals, embedded bool) string {
	switch steady := t.steady > 0 && peer.steady > 0; {
	case embedded && steady:
		return times(peer.steady, t.steady)
	case embedded:
		return times(peer.both, t.both)
	case steady:
		return times(peer.steadyApp, t.steadyApp)
	}
	return times(peer.app, t.app)
}

func (t *throughputTable) add(c sized, chosen []side, results map[string][]figures) error {
	if t.rows == 0 {
		t.row("case\trecords\tside\tk rec/s\tapp µs\tbroker µs\tboth µs\tsteady app µs\tsteady both µs\tpeak MB\tcommits\tout\tCPU\trate\taim µs")
	}
	peer := totalsOf(results["streams"], c.n)
	for _, s := range chosen {
		runs := results[s.id]
		own := totalsOf(runs, c.n)
		broker, cpu, rate, aim := micros(own.broker), dash, dash, dash
		switch {
		case s.embedded:
			broker = "inside"
			if c.aim > 0 {
				aim = micros(c.aim)
			}
		case !runs[0].brokerOK:
			broker = "?"
		}
		if !s.streams {
			cpu, rate = own.ratio(peer, s.embedded), times(own.rate, peer.rate)
		}
		t.row("%s\t%d\t%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s", c.id, c.n, s.name, own.rate/1000,
			micros(own.app), broker, micros(own.both), micros(own.steadyApp), micros(own.steady),
			megabytes(median(runs, func(f figures) int64 { return f.peak })), median(runs, func(f figures) int64 { return f.commits }),
			median(runs, func(f figures) int64 { return f.output }), cpu, rate, aim)
		t.rows++
	}
	return t.err
}

func (t *throughputTable) end() error {
	return t.printer.end("µs: processor time a record, of the process's whole life; steady: without the first quarter of the records. CPU, rate: how many times\n" +
		"better than Kafka Streams. Each output was read back, and is what it must be.")
}

// startTable has a row for each start and side.
type startTable struct{ printer }

func newStartTable(out io.Writer) *startTable { return &startTable{newPrinter(out)} }

func (t *startTable) add(c startCase, chosen []side, results map[string][]figures) error {
	if t.rows == 0 {
		t.row("case\tchangelog\tside\ts to run\tapp CPU-s\tbroker CPU-s\tpeak MB\tfaster\tless CPU")
	}
	took := func(f figures) float64 { return f.ready.Seconds() }
	used := func(f figures) float64 { return (f.app + f.broker).Seconds() }
	for _, s := range chosen {
		runs := results[s.id]
		broker, faster, cpu := fmt.Sprintf("%.2f", median(runs, func(f figures) float64 { return f.broker.Seconds() })), dash, dash
		switch {
		case s.embedded:
			broker = "inside"
		case !runs[0].brokerOK:
			broker = "?"
		}
		if !s.streams {
			faster, cpu = times(median(results["streams"], took), median(runs, took)), times(median(results["streams"], used), median(runs, used))
		}
		t.row("%s\t%d\t%s\t%.2f\t%.2f\t%s\t%s\t%s\t%s", c.id, c.records, s.name, median(runs, took),
			median(runs, func(f figures) float64 { return f.app.Seconds() }), broker,
			megabytes(median(runs, func(f figures) int64 { return f.peak })), faster, cpu)
		t.rows++
	}
	return t.err
}

func (t *startTable) end() error {
	return t.printer.end("From the start of the process, with an empty state directory. What was restored was asked for, and is right.")
}

// latencyTable has a row for each side.
type latencyTable struct{ printer }

func newLatencyTable(out io.Writer) *latencyTable { return &latencyTable{newPrinter(out)} }

func (t *latencyTable) add(chosen []side, results map[string][]latency) error {
	t.row("latency of a count at %d/s\tresults\tp50 ms\tp99\tp99.9\tmax\tapp cores\tbroker cores\taim p50\tp99", latencyRate)
	ms := func(runs []latency, of func(latency) time.Duration) string {
		return fmt.Sprintf("%.1f", median(runs, of).Seconds()*1000)
	}
	for _, s := range chosen {
		runs := results[s.id]
		broker := fmt.Sprintf("%.2f", median(runs, func(l latency) float64 { return l.broker }))
		aims := [2]string{"15", "40"}
		switch {
		case s.embedded:
			broker, aims = "inside", [2]string{"5", "15"}
		case !runs[0].brokerOK:
			broker = "?"
		}
		if s.streams {
			aims = [2]string{dash, dash}
		}
		t.row("%s\t%d\t%s\t%s\t%s\t%s\t%.2f\t%s\t%s\t%s", s.name, median(runs, func(l latency) int { return l.results }),
			ms(runs, func(l latency) time.Duration { return l.p50 }), ms(runs, func(l latency) time.Duration { return l.p99 }),
			ms(runs, func(l latency) time.Duration { return l.p999 }), ms(runs, func(l latency) time.Duration { return l.max }),
			median(runs, func(l latency) float64 { return l.app }), broker, aims[0], aims[1])
		t.rows++
	}
	return t.err
}

func (t *latencyTable) end() error {
	return t.printer.end("From when a record was due to be appended until its result was read by a read_committed consumer in another process.")
}

// brokerTable has a row for each log, and for each of what was done with it.
type brokerTable struct{ printer }

func newBrokerTable(out io.Writer) *brokerTable { return &brokerTable{newPrinter(out)} }

func (t *brokerTable) add(c brokerCase, sides []brokerSide, results map[string]map[string][]phase) error {
	if t.rows == 0 {
		t.row("case\trecords\tbytes\tpartitions\twhat\tlog\tk rec/s\tMB/s\tclient µs\tbroker µs\tallocs/request\tentries/sync\trate\tCPU\taim µs")
	}
	for _, name := range phaseNames {
		for _, s := range sides {
			runs := results[name][s.id]
			if len(runs) == 0 {
				continue
			}
			peer := results[name][s.peer()]
			rate := median(runs, func(p phase) float64 { return p.rate() })
			client, broker := cost(runs, func(p phase) time.Duration { return p.client }), cost(runs, func(p phase) time.Duration { return p.broker })
			faster, cpu := dash, dash
			if !s.kafka {
				faster = times(rate, median(peer, func(p phase) float64 { return p.rate() }))
				cpu = times(cost(peer, func(p phase) time.Duration { return p.broker }), broker)
			}
			t.row("%s\t%d\t%d\t%d\t%s\t%s\t%.0f\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%s", c.id, c.records, c.bytes, c.partitions, name, s.name,
				rate/1000, rate*float64(c.bytes)/(1<<20), micros(client), seen(s, broker),
				figure(median(runs, func(p phase) float64 { return p.allocs })), figure(median(runs, func(p phase) float64 { return p.perSync })),
				faster, cpu, micros(c.aim(name, s)))
			t.rows++
		}
	}
	return t.err
}

// cost is a processor time for a record, in ns.
func cost(runs []phase, of func(phase) time.Duration) float64 {
	return median(runs, func(p phase) float64 { return float64(of(p)) / float64(p.n) })
}

func seen(s brokerSide, broker float64) string {
	if s.inside {
		return "inside"
	}
	return micros(broker)
}

func figure(f float64) string {
	if f == 0 {
		return dash
	}
	return fmt.Sprintf("%.1f", f)
}

func (t *brokerTable) end() error {
	return t.printer.end("One client, with batches of 128 KiB. µs: processor time a record. Rate, CPU of the broker: how many times better than the Kafka that promises the\n" +
		"same: Kafka syncs before it acknowledges if flush.messages is 1. Aims are the broker's.")
}

// operationsTable has a row for each log.
type operationsTable struct{ printer }

func newOperationsTable(out io.Writer) *operationsTable { return &operationsTable{newPrinter(out)} }

func (t *operationsTable) add(sides []brokerSide, results map[string][]operations) error {
	t.row("log\trecord: p50 ms\tp99\tbroker µs\taim p50\ttransaction: p50 ms\tp99\tbroker µs\tidle: cores")
	for _, s := range sides {
		runs := results[s.id]
		ms := func(of func(operations) time.Duration) string {
			return fmt.Sprintf("%.2f", median(runs, of).Seconds()*1000)
		}
		us := func(of func(operations) time.Duration) string { return seen(s, float64(median(runs, of))) }
		aim, idle := dash, dash
		switch {
		case s.inside && !s.synced:
			aim = "0.15"
		case !s.kafka && s.synced:
			aim = "1"
		}
		if runs[0].brokerSeen {
			idle = fmt.Sprintf("%.3f", median(runs, func(o operations) float64 { return o.idle }))
		}
		t.row("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", s.name,
			ms(func(o operations) time.Duration { return o.p50 }), ms(func(o operations) time.Duration { return o.p99 }),
			us(func(o operations) time.Duration { return o.perRecord }), aim,
			ms(func(o operations) time.Duration { return o.txnP50 }), ms(func(o operations) time.Duration { return o.txnP99 }),
			us(func(o operations) time.Duration { return o.perTxn }), idle)
		t.rows++
	}
	return t.err
}

func (t *operationsTable) end() error {
	return t.printer.end(fmt.Sprintf("One record, or transaction of %d, after the other: until it is acknowledged.", recordsInTransaction))
}
