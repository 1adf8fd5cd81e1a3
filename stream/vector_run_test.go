package stream_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/serde"
	"github.com/millrace-io/millrace/state"
	"github.com/millrace-io/millrace/stream"
	"github.com/millrace-io/millrace/stream/window"
	"github.com/millrace-io/millrace/topology"
)

// program is one recorded topology, written in Go.
type program struct {
	build   func(p *play)
	options []topologytest.Option
	builder []stream.BuilderOption
	// timeless: its stores are not timestamped in Kafka Streams, ours are: times of the changelog are not compared.
	timeless bool
	// buries: it writes a tombstone for a key that has expired, for which Kafka Streams does nothing.
	buries bool
	// bare are topics whose records have no headers in the recording and the trigger's here: results of sessions.
	bare []string
	// skip says for a run of the case why it is not compared, uncached for all its runs without a cache.
	skip     map[string]string
	uncached string
}

// without returns why a run is not compared, empty if it is.
func (p program) without(run vectorRun) string {
	if p.uncached != "" && run.Cache == "off" {
		return p.uncached
	}
	return p.skip[run.Name]
}

// builder returns the builder for a run: with a cache or without, as the run was recorded.
func (run vectorRun) builder(v vector, options []stream.BuilderOption) *stream.Builder {
	options = slices.Clone(options)
	if run.Cache == "off" {
		options = append(options, stream.Uncached())
	}
	if v.keepsHeaders() {
		options = append(options, stream.KeepHeaders())
	}
	return stream.NewBuilder(options...)
}

// play is one run of a program.
type play struct {
	*stream.Builder
	v         vector
	traces    []string
	stores    map[string]func(*topologytest.Driver) [][]any // content, by store
	ends      map[string]func(*topologytest.Driver) int64   // the same of a store of sessions, which end then
	seen      map[string]func(*topologytest.Driver) int64   // the time up to which a store has let go what it held, by store
	buffers   map[string]func(*topologytest.Driver) (records int, bytes int64)
	oldest    int64            // of versions that a versioned store shows
	histories []string         // versioned stores
	newest    map[string]int64 // start of the newest window that a store has seen
}

func (p *play) trace(format string, args ...any) {
	p.traces = append(p.traces, fmt.Sprintf(format, args...))
}

func (p *play) millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// tally counts what was compared.
type tally struct{ cases, runs, steps, records, namings, entries atomic.Int64 }

func (s *tally) String() string {
	return fmt.Sprintf("compared %d cases: %d runs, %d steps, %d records; %d descriptions; %d entries of byte formats",
		s.cases.Load(), s.runs.Load(), s.steps.Load(), s.records.Load(), s.namings.Load(), s.entries.Load())
}

// TestVectors compares every recorded case: topologies record by record with everything that each record causes, descriptions name by
// name, byte formats entry by entry. A case that nothing stands for fails. It says how much it has compared, and which runs
// and entries it has left out and why.
func TestVectors(t *testing.T) {
	t.Parallel()
	var sum tally
	t.Cleanup(func() { t.Log(&sum) })
	names := vectorNames(t)
	if len(names) == 0 {
		t.Fatalf("there are no cases in %s", vectorDir())
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compareCase(t, loadVector(t, name), name, &sum)
			sum.cases.Add(1)
		})
	}
}

func compareCase(t *testing.T, v vector, name string, sum *tally) {
	if v.Case != name {
		t.Fatalf("the file of %s holds the case %q", name, v.Case)
	}
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case "naming":
		compareNaming(t, v)
		sum.namings.Add(1)
	case "bytes":
		if len(v.Entries) == 0 {
			t.Error("there are no entries")
		}
		sum.entries.Add(int64(compareBytes(t, v)))
	default:
		compareRuns(t, v, name, sum)
	}
}

func compareRuns(t *testing.T, v vector, name string, sum *tally) {
	prog, ok := findProgram(name)
	if !ok {
		t.Fatal("no program stands for this case")
	}
	compared := 0
	for _, run := range v.Runs {
		if why := prog.without(run); why != "" {
			t.Logf("run %s is not compared: %s", run.Name, why)
			continue
		}
		compared++
		t.Run(run.Name, func(t *testing.T) { playRun(t, v, run, prog, sum) })
	}
	if compared == 0 {
		t.Error("no run was compared")
	}
}

// spy takes the faults that a comparison finds.
type spy struct {
	testing.TB
	faults int
}

func (s *spy) Errorf(string, ...any) { s.faults++ }
func (s *spy) Failed() bool          { return s.faults > 0 }

// TestVectorsNoticeAFault: of one run, one description and one byte format, drawn anew each time, one expectation is changed, and
// the comparison must see it.
func TestVectorsNoticeAFault(t *testing.T) {
	t.Parallel()
	names := vectorNames(t)
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	corrupt := map[string]func(testing.TB, vector) string{"naming": faultyName, "bytes": faultyBytes, "run": faultyRun}
	for _, name := range names {
		kind, _, _ := strings.Cut(name, "-")
		if corrupt[kind] == nil {
			kind = "run"
		}
		if corrupt[kind] == nil {
			continue // has been
		}
		seen := &spy{TB: t}
		what := corrupt[kind](seen, loadVector(t, name))
		if what == "" {
			continue // there is nothing in it that could be changed
		}
		if seen.faults == 0 {
			t.Errorf("case %s: %s was changed, and nobody noticed", name, what)
		}
		t.Logf("case %s: a change of %s was noticed", name, what)
		corrupt[kind] = nil
		delete(corrupt, kind)
	}
	for kind := range corrupt {
		t.Errorf("no expectation of kind %q could be changed", kind)
	}
}

// faultyRun changes the time of one record, and compares its run. It returns what it has changed, empty if there was nothing.
func faultyRun(t testing.TB, v vector) string {
	prog, ok := findProgram(v.Case)
	if !ok {
		return ""
	}
	for _, run := range v.Runs {
		if prog.without(run) != "" {
			continue
		}
		for i := range run.Steps {
			out := run.Steps[i].Out
			if len(out) == 0 || run.Steps[i].Error != nil {
				continue
			}
			out[len(out)-1].Time++
			playRun(t, v, run, prog, new(tally))
			return fmt.Sprintf("the last record of step %d of run %s", i, run.Name)
		}
	}
	return ""
}

// faultyName changes one digit of a description.
func faultyName(t testing.TB, v vector) string {
	i := strings.LastIndexAny(v.Describe, "0123456789")
	if i < 0 {
		return ""
	}
	digit := v.Describe[i] ^ 1 // of 0 and 1, 2 and 3, … each makes the other
	v.Describe = v.Describe[:i] + string(digit) + v.Describe[i+1:]
	compareNaming(t, v)
	return fmt.Sprintf("character %d of its description", i)
}

// faultyBytes changes the expected bytes of one entry.
func faultyBytes(t testing.TB, v vector) string {
	for _, i := range rand.Perm(len(v.Entries)) {
		if corruptBytes(v, &v.Entries[i]) {
			compareBytes(t, v)
			return fmt.Sprintf("entry %d", i)
		}
	}
	return ""
}

func findProgram(name string) (program, bool) {
	for _, part := range []map[string]program{programs, tablePrograms, joinPrograms, windowPrograms, failurePrograms, suppressPrograms, cogroupPrograms, gracePrograms, processPrograms} {
		if p, ok := part[name]; ok {
			return p, true
		}
	}
	return program{}, false
}

func playRun(t testing.TB, v vector, run vectorRun, prog program, sum *tally) {
	p := &play{Builder: run.builder(v, prog.builder), v: v, newest: map[string]int64{}, stores: map[string]func(*topologytest.Driver) [][]any{}}
	p.seen, p.ends = map[string]func(*topologytest.Driver) int64{}, map[string]func(*topologytest.Driver) int64{}
	p.buffers = map[string]func(*topologytest.Driver) (int, int64){}
	prog.build(p)
	top, err := p.Topology()
	if err != nil {
		t.Fatal(err)
	}
	compareDescription(t, top, v)
	options := prog.options
	if run.Wall > 0 {
		options = append(slices.Clone(options), topologytest.StartAt(time.UnixMilli(run.Wall)))
	}
	if run.Commit == "at-steps" {
		options = append(slices.Clone(options), topologytest.ManualCommit())
	}
	c := &comparison{TB: t, d: topologytest.New(t, top, options...), p: p, prog: prog, read: map[string]int{}, live: map[string]bool{}}
	sum.runs.Add(1)
	for i, step := range run.Steps {
		sum.steps.Add(1)
		sum.records.Add(int64(len(step.Out) + len(step.Internal)))
		if !c.step(i, step) {
			return
		}
	}
	for store, recorded := range run.Stores {
		if count, ok := p.buffers[store]; ok {
			compareBuffer(t, store, recorded, count, c.d)
			continue
		}
		var want [][]any
		if err := json.Unmarshal(recorded, &want); err != nil {
			t.Fatalf("store %s: %v", store, err)
		}
		content, ok := p.stores[store]
		if !ok {
			t.Errorf("the run shows store %s, the program does not", store)
			continue
		}
		got := content(c.d)
		if !v.keepsHeaders() {
			got = withoutHeaders(got)
		}
		want = asText(want)
		if slices.Contains(p.histories, store) {
			want = p.reachable(want)
		}
		if seen, ok := p.seen[store]; ok {
			got, want = retained(got, seen(c.d)), retained(want, seen(c.d))
		}
		if ends, ok := p.ends[store]; ok {
			got, want = ended(got, ends(c.d)), ended(want, ends(c.d))
		}
		if newest, ok := p.newest[store]; ok {
			want = retained(want, newest-v.Params.Size-v.Params.Grace)
			if run.Cache == "off" && len(want) > 0 {
				got = retained(got, oldest(want)-1)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("store %s at the end:\n got %v\nwant %v", store, got, want)
		}
	}
}

// compareBuffer compares how much waits in a buffer.
func compareBuffer(
	t testing.TB, store string, recorded json.RawMessage, count func(*topologytest.Driver) (int, int64), d *topologytest.Driver,
) {
	t.Helper()
	var want struct {
		Buffered int
		Bytes    *int64
	}
	if err := json.Unmarshal(recorded, &want); err != nil {
		t.Fatalf("buffer %s: %v", store, err)
	}
	records, bytes := count(d)
	if records != want.Buffered || want.Bytes != nil && bytes != *want.Bytes {
		t.Errorf("buffer %s holds %d records of %d bytes, want %s", store, records, bytes, recorded)
	}
}

// comparison compares one run step by step.
type comparison struct {
	testing.TB
	d       *topologytest.Driver
	p       *play
	prog    program
	read    map[string]int // records compared so far, by topic
	dropped int64
	live    map[string]bool // keys that a changelog holds, "topic key"
}

// step plays one step and compares. It returns false if the run ends here.
func (c *comparison) step(i int, step vectorStep) bool {
	c.p.traces = nil
	err := c.input(step)
	where := fmt.Sprintf("step %d (%s)", i, describe(step))
	if (err != nil) != (step.Error != nil) {
		c.Errorf("%s: error %v, recorded %s", where, err, step.Error)
		return false
	}
	for _, sink := range c.p.v.Sinks {
		var want []string
		for _, r := range step.Out {
			if r.Topic == sink.Topic {
				want = append(want, r.String())
			}
		}
		c.same(where+": topic "+sink.Topic, c.fresh(sink), want)
	}
	if err != nil {
		return false
	}
	if len(step.Internal) > 0 && !c.prog.timeless {
		c.internal(where, step)
	}
	if !slices.Equal(c.p.traces, step.Trace) {
		c.Errorf("%s: trace %q, want %q", where, c.p.traces, step.Trace)
	}
	var dropped int64
	for _, drop := range c.d.Drops() {
		if drop.Reason != topology.ReasonUnkeyed { // which Kafka Streams does not count
			dropped += drop.Count
		}
	}
	if step.Pipe != nil && c.global(step.Pipe.Topic) {
		step.Dropped = 0 // of the global table's consumer, which the driver stands in for
	}
	if got := dropped - c.dropped; got != step.Dropped {
		c.Errorf("%s: %d dropped, want %d", where, got, step.Dropped)
	}
	c.dropped = dropped
	return !c.Failed()
}

func (c *comparison) input(step vectorStep) error {
	if step.Commit {
		return c.d.TryCommit()
	}
	if step.Wall != nil {
		return c.d.TryAdvanceWallClock(time.Duration(*step.Wall) * time.Millisecond)
	}
	in := step.Pipe
	i := slices.IndexFunc(c.p.v.Sources, func(s vectorTopic) bool { return s.Topic == in.Topic })
	source := c.p.v.Sources[i]
	raw := topology.Raw{Timestamp: in.Time, Key: encode(c.TB, source.Key, in.Key), Value: encode(c.TB, source.Value, in.Value)}
	if in.Hex != nil {
		raw.Value = encode(c.TB, "hex", in.Hex)
	}
	for _, h := range in.Headers {
		raw.Headers = append(raw.Headers, topology.Header{Key: *h[0], Value: encode(c.TB, "string", h[1])})
	}
	return c.d.TryPipeRaw(in.Topic, raw)
}

func (c *comparison) global(topic string) bool {
	return !slices.ContainsFunc(c.p.v.Sinks, func(s vectorTopic) bool { return s.Topic == topic }) && topic == "g"
}

// fresh returns the records of a sink topic that came since the last call.
func (c *comparison) fresh(sink vectorTopic) []string {
	records := c.d.Records(sink.Topic)
	var out []string
	for _, raw := range records[c.read[sink.Topic]:] {
		r := vectorRecord{Topic: sink.Topic, Key: decode(c.TB, sink.Key, raw.Key), Value: decode(c.TB, sink.Value, raw.Value), Time: raw.Timestamp}
		for _, h := range raw.Headers {
			if slices.Contains(c.prog.bare, sink.Topic) {
				break
			}
			r.Headers = append(r.Headers, [2]*string{&h.Key, decode(c.TB, "string", h.Value)})
		}
		out = append(out, r.String())
	}
	c.read[sink.Topic] = len(records)
	return out
}

// internal compares the records of repartition topics, and of changelogs the last one of each key.
func (c *comparison) internal(where string, step vectorStep) {
	for _, topic := range c.p.v.Internal {
		var want, got []string
		untimed := false // Kafka Streams leaves the time to the producer, which takes the wall clock
		for _, r := range step.Internal {
			if r.Topic == topic.Topic {
				untimed = untimed || r.Time == nil
				want = append(want, r.String())
			}
		}
		records := c.d.Records(topic.Topic)
		for _, raw := range records[c.read[topic.Topic]:] {
			r := vectorBytes{Key: asHex(raw.Key), Value: asHex(raw.Value), Headers: headersAsHex(raw.Headers)}
			if !untimed {
				r.Time = &raw.Timestamp
			}
			got = append(got, r.String())
		}
		c.read[topic.Topic] = len(records)
		if strings.HasSuffix(topic.Topic, "-changelog") {
			got = lastPerKey(got)
			want = c.known(topic.Topic, lastPerKey(want), got)
		}
		if c.prog.buries {
			got = slices.DeleteFunc(got, func(r string) bool { return strings.Contains(r, " null ") && !slices.Contains(want, r) })
		}
		c.same(where+": topic "+topic.Topic, got, want)
	}
}

// keepsHeaders reports whether Kafka Streams recorded the case with its stores' format for headers.
func (v vector) keepsHeaders() bool { return string(v.Config["dsl.store.format"]) == `"HEADERS"` }

// shownHeaders are the headers of a row, as the vectors show them.
type shownHeaders [][2]string

func showHeaders(h serde.Headers) (shown shownHeaders) {
	for _, h := range h.All() {
		shown = append(shown, [2]string{h.Key, string(h.Value)})
	}
	return shown
}

// withoutHeaders leaves headers out of rows.
func withoutHeaders(rows [][]any) [][]any {
	for i, row := range rows {
		rows[i] = slices.DeleteFunc(row, func(cell any) bool { _, ok := cell.(shownHeaders); return ok })
	}
	return rows
}

// known leaves out tombstones of keys that the changelog does not hold: without a cache, Kafka Streams writes one for each
// delete of what is not there.
func (c *comparison) known(topic string, records, got []string) []string {
	return slices.DeleteFunc(records, func(r string) bool {
		fields := strings.Fields(r)
		key, deleted := topic+" "+fields[0], fields[1] == "null"
		unknown := deleted && !c.live[key] && !slices.Contains(got, r)
		c.live[key] = !deleted
		return unknown
	})
}

func lastPerKey(records []string) []string {
	last := map[string]string{}
	for _, r := range records {
		key, _, _ := strings.Cut(r, " ")
		last[key] = r
	}
	return slices.Sorted(maps.Values(last))
}

func (c *comparison) same(what string, got, want []string) {
	if !slices.Equal(got, want) {
		c.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func describe(step vectorStep) string {
	if step.Commit {
		return "commit"
	}
	if step.Wall != nil {
		return fmt.Sprint("wall clock +", *step.Wall)
	}
	return step.Pipe.String()
}

func (r vectorRecord) String() string {
	s := fmt.Sprintf("%s: %s=%s@%d", r.Topic, text(r.Key), text(r.Value), r.Time)
	for _, h := range r.Headers {
		s += " " + errorHeader(h[0], h[1])
	}
	return s
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// String returns the record as key, value, time and headers.
func (r vectorBytes) String() string {
	s := text(r.Key) + " " + text(r.Value)
	if r.Time != nil {
		s += fmt.Sprint(" @", *r.Time)
	}
	for _, h := range r.Headers {
		s += fmt.Sprintf(" %s:%s", text(h[0]), text(h[1]))
	}
	return s
}

func headersAsHex(headers []topology.Header) (list [][2]*string) {
	for _, h := range headers {
		if h.Key == "millrace-inputs" {
			continue // on the first record of a transaction: where the inputs stood
		}
		list = append(list, [2]*string{&h.Key, asHex(h.Value)})
	}
	return list
}

func asHex(b []byte) *string {
	if b == nil {
		return nil
	}
	s := hex.EncodeToString(b)
	return &s
}

// encode returns the bytes of a text in one of the vectors' formats.
func encode(t testing.TB, format string, s *string) []byte {
	t.Helper()
	if s == nil {
		return nil
	}
	switch format {
	case "string":
		return append([]byte{}, *s...)
	case "long":
		n, err := strconv.ParseInt(*s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := serde.Int64.Append(nil, n)
		return b
	case "hex":
		b, err := hex.DecodeString(*s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	t.Fatalf("format %s", format)
	return nil
}

// decode is the inverse of encode.
func decode(t testing.TB, format string, b []byte) *string {
	t.Helper()
	if b == nil {
		return nil
	}
	s := string(b)
	switch size, windowed := strings.CutPrefix(format, "window:"); {
	case windowed:
		keys := window.UnlimitedKeySerde(serde.String)
		if ms, _ := strconv.ParseInt(size, 10, 64); ms < math.MaxInt64 {
			keys = window.KeySerde(serde.String, time.Duration(ms)*time.Millisecond)
		}
		w, err := keys.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		s = fmt.Sprintf("%s@%d/%d", w.Key, w.Start, w.End)
	case format == "session":
		w, err := window.SessionKeySerde(serde.String).Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		s = fmt.Sprintf("%s@%d/%d", w.Key, w.Start, w.End)
	case format == "hex":
		s = hex.EncodeToString(b)
	case format == "long":
		n, err := serde.Int64.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		s = strconv.FormatInt(n, 10)
	}
	return &s
}

// keyValueContent shows a key-value store as the vectors do.
func keyValueContent[K, V any](name string) func(*topologytest.Driver) [][]any {
	return func(d *topologytest.Driver) [][]any {
		var rows [][]any
		for row, err := range topologytest.StoreOf[*state.KeyValue[K, V]](d, name).Range(serde.None[K](), serde.None[K]()) {
			if err != nil {
				return [][]any{{err}}
			}
			rows = append(rows, []any{plain(row.Key), plain(row.Value), row.Timestamp, showHeaders(row.Headers)})
		}
		return rows
	}
}

// globalContent shows the store of a global table as the vectors do, for the keys that it is asked for.
func globalContent(name string, keys ...string) func(*topologytest.Driver) [][]any {
	return func(d *topologytest.Driver) [][]any {
		var rows [][]any
		for _, k := range keys {
			v, t, ok, err := topologytest.StoreOf[*state.Global[str, str]](d, name).Get(&k)
			if err != nil {
				return [][]any{{err}}
			}
			if ok {
				rows = append(rows, []any{k, text(v), t})
			}
		}
		return rows
	}
}

// untimed is keyValueContent for stores that have no times in Kafka Streams.
func untimed(content func(*topologytest.Driver) [][]any) func(*topologytest.Driver) [][]any {
	return func(d *topologytest.Driver) [][]any {
		rows := content(d)
		for i := range rows {
			rows[i] = rows[i][:2]
		}
		return rows
	}
}

// windowContent shows a window store as the vectors do, in the order of the encoded keys.
func windowContent[K, V any](p *play, name string, size int64) func(*topologytest.Driver) [][]any {
	return func(d *topologytest.Driver) [][]any {
		var rows [][]any
		store := topologytest.StoreOf[*state.Window[K, V]](d, name)
		if newest, ok := store.Newest(); ok {
			p.newest[name] = newest
		}
		for row, err := range store.FetchAll(0, 1<<40) {
			if err != nil {
				return [][]any{{err}}
			}
			rows = append(rows, []any{fmt.Sprintf("%v@%d/%d", plain(row.Key), row.Start, row.Start+size), plain(row.Value), row.Timestamp, showHeaders(row.Headers)})
		}
		slices.SortStableFunc(rows, func(a, b []any) int {
			ka, _, _ := strings.Cut(a[0].(string), "@")
			kb, _, _ := strings.Cut(b[0].(string), "@")
			return strings.Compare(ka, kb)
		})
		return rows
	}
}

// retained leaves out the windows that start at or before a time, which the store no longer keeps. Kafka Streams drops windows a
// segment at a time, so that the recording shows more.
func retained(rows [][]any, expired int64) [][]any {
	return slices.DeleteFunc(rows, func(row []any) bool {
		_, times, _ := strings.Cut(row[0].(string), "@")
		start, _, _ := strings.Cut(times, "/")
		n, err := strconv.ParseInt(start, 10, 64)
		return err == nil && n <= expired
	})
}

// ended leaves out the sessions that end at or before a time.
func ended(rows [][]any, expired int64) [][]any {
	return slices.DeleteFunc(rows, func(row []any) bool {
		_, end, _ := strings.Cut(row[0].(string), "/")
		n, err := strconv.ParseInt(end, 10, 64)
		return err == nil && n <= expired
	})
}

// oldest returns the first start of a window in a recorded store. Without a cache, Kafka Streams' store time moves with deletes
// of what is not there too, and hides windows that Millrace still has.
func oldest(rows [][]any) int64 {
	first := int64(math.MaxInt64)
	for _, row := range rows {
		_, times, _ := strings.Cut(row[0].(string), "@")
		start, _, _ := strings.Cut(times, "/")
		if n, err := strconv.ParseInt(start, 10, 64); err == nil {
			first = min(first, n)
		}
	}
	return first
}

// plain shows what a pointer to a string points to.
func plain(v any) any {
	if p, ok := v.(*string); ok {
		return text(p)
	}
	return v
}

// asText shows the rows of a recorded store: numbers are float64 after decoding.
func asText(rows [][]any) [][]any {
	for _, row := range rows {
		for i, v := range row {
			switch v := v.(type) {
			case float64:
				row[i] = int64(v)
			case nil:
				row[i] = "null"
			}
		}
	}
	return rows
}
