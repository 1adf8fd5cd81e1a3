package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/runtime/topologytest"
	"github.com/millrace-io/millrace/topology"
)

// testAccounts is small, so that a short history has many entries of each.
const testAccounts = 20

// newHistory makes a history without a fault: the applications run by the test driver, in one partition, as if all that they and
// the driver of the input ever did had been one transaction.
func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{
		names: names{"test-"}, accounts: testAccounts,
		log: make(map[string][][]record), committed: make(map[string][][]glimpse),
		high: make(map[string][]int64), stable: make(map[string][]int64), offsets: make(map[string][]int64),
	}
	bankTop, err := bank(h.names, testAccounts)
	if err != nil {
		t.Fatal(err)
	}
	viewsTop, err := views(h.names)
	if err != nil {
		t.Fatal(err)
	}
	bankDriver := topologytest.New(t, bankTop, topologytest.ApplicationID(h.names.bank()))
	viewsDriver := topologytest.New(t, viewsTop, topologytest.ApplicationID(h.names.views()))

	work := newWorkload(1, 1, testAccounts, 1_700_000_000_000, 200)
	for batch := range 150 {
		name, size := "batch-"+strconv.Itoa(batch), 1+batch%3
		for range size {
			in := work.next(name, size)
			h.feed(t, bankDriver, in, name, size)
		}
		h.journal = append(h.journal, step{Outcome: committed, Batch: name, Size: size})
	}
	for i := range testAccounts {
		if o := owner(i); o != "" {
			pipe(t, viewsDriver, h.names.owners(), topology.Raw{Key: []byte(account(i)), Value: []byte(o)})
		}
	}
	for _, topic := range bankDriver.Topics() {
		h.take(topic, bankDriver.Records(topic))
	}
	for _, r := range h.log[h.names.entries()][0] {
		pipe(t, viewsDriver, h.names.entries(), topology.Raw{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp})
	}
	for _, topic := range viewsDriver.Topics() {
		if topic != h.names.entries() {
			h.take(topic, viewsDriver.Records(topic))
		}
	}
	h.close()
	return h
}

// feed pipes an input into the bank, and writes the journal of its driver.
func (h *history) feed(t *testing.T, d *topologytest.Driver, in input, batch string, size int) {
	t.Helper()
	h.journal = append(h.journal, step{Outcome: sent, ID: in.ID, Batch: batch, Size: size, Kind: in.Kind, Digest: digestOf(in.Key, in.Value)})
	topic := h.names.transfers()
	raw := topology.Raw{Key: in.Key, Value: in.Value, Timestamp: in.Timestamp, Headers: []topology.Header{{Key: idHeader, Value: []byte(in.ID)}}}
	pipe(t, d, topic, raw)
	h.journal = append(h.journal, step{Outcome: acked, ID: in.ID, Batch: batch, Offset: int64(len(d.Records(topic)) - 1)})
}

func pipe(t *testing.T, d *topologytest.Driver, topic string, r topology.Raw) {
	t.Helper()
	if err := d.TryPipeRaw(topic, r); err != nil {
		t.Fatal(err)
	}
}

// take makes the log of a topic.
func (h *history) take(topic string, records []topology.Raw) {
	var log []record
	for i, r := range records {
		x := record{Offset: int64(i), Timestamp: r.Timestamp, Key: slices.Clone(r.Key), Value: slices.Clone(r.Value), Producer: 7, InTxn: true}
		for _, header := range r.Headers {
			if header.Key == idHeader {
				x.ID = string(header.Value)
			}
		}
		log = append(log, x)
	}
	h.log[topic] = [][]record{append(log, record{Offset: int64(len(log)), Producer: 7, Control: true, Commit: true})}
}

// close adds what follows from the log: what readers saw, where everything ends, and the stores.
func (h *history) close() {
	h.see()
	for topic, partitions := range h.log {
		for p, records := range partitions {
			end := records[len(records)-1].Offset + 1
			h.high[topic], h.stable[topic] = append(h.high[topic], end), append(h.stable[topic], end)
			var seen []glimpse
			for _, r := range h.visible[topic][p] {
				seen = append(seen, glimpse{r.Offset, digestOf(r.Key, r.Value)})
			}
			h.committed[topic] = append(h.committed[topic], seen)
		}
	}
	h.observed = maps.Clone(h.committed)
	for _, topic := range []string{h.names.transfers(), h.names.credits(), h.names.entries(), h.names.byPeer()} {
		h.offsets[topic] = slices.Clone(h.high[topic])
	}
	for _, topic := range []string{h.names.balances(), h.names.windows(), h.names.unsettled(), h.names.sessions(), h.names.peerCounts(), h.names.received()} {
		rows := make(map[string]string)
		for _, r := range h.visible[topic][0] {
			switch key := string(r.Key); {
			case r.Value == nil:
				delete(rows, key)
			case topic == h.names.unsettled():
				rows[key] = waits
			default:
				rows[key] = string(r.Value)
			}
		}
		h.stores = append(h.stores, dump{"instance-0", topic, 0, h.high[topic][0], rows})
	}
}

func TestOraclesPassAGoodHistory(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	v := h.judge()
	if v.total() > 0 {
		t.Errorf("violations: %v", v.First)
	}
	for _, oracle := range []string{oracleAck, oracleRef, oracleStore, oracleChangelog, oracleAtomic, oracleOrder, oracleCons, oracleLSO} {
		if v.Checked[oracle] == 0 {
			t.Errorf("%s has checked nothing", oracle)
		}
	}
	for _, topic := range h.names.all() {
		if len(h.log[topic]) == 0 || len(h.log[topic][0]) < 5 {
			t.Errorf("%s is next to empty: the history shows little", topic)
		}
	}
}

// A doctor falsifies a history in one way.
type doctor struct {
	name string
	by   string // the oracle that must see it
	how  func(h *history)
}

// doctors are at least one for each oracle, and one for each way in which the systems that came before went wrong.
var doctors = []doctor{
	{"an acknowledged record is lost", oracleAck, func(h *history) { h.drop(h.names.transfers(), 10) }},
	{"a record is written twice", oracleAck, func(h *history) { h.repeat(h.names.transfers(), 10) }},
	{"an acknowledged record has other bytes", oracleAck, func(h *history) { h.at(h.names.transfers(), 10).Value = []byte("{}") }},
	{"two records change places", oracleAck, func(h *history) { h.swap(h.names.transfers(), 10, 11) }},
	{"a record comes from nowhere", oracleAck, func(h *history) { h.at(h.names.transfers(), 10).ID = "driver-9/1" }},
	{"an aborted record is seen", oracleAck, func(h *history) { h.end("batch-7", aborted) }},
	{"a committed record is not seen", oracleAck, func(h *history) { h.at(h.names.transfers(), 10).Producer = 8 }},
	{"a refused record is seen", oracleAck, func(h *history) { h.journal[1].Outcome = refused }},

	{"an entry is missing", oracleRef, func(h *history) { h.drop(h.names.entries(), -1) }},
	{"a transfer took effect twice", oracleRef, func(h *history) { h.repeat(h.names.entries(), -1) }},
	{"a rejection is missing", oracleRef, func(h *history) { h.drop(h.names.rejected(), 3) }},
	{"a rejection is there twice", oracleRef, func(h *history) { h.repeat(h.names.rejected(), 3) }},
	{"a transfer was rejected though there was money", oracleRef, func(h *history) { h.replace(h.names.rejected(), 3, `"balance":`, `"balance":9`) }},
	{"a credit is missing", oracleRef, func(h *history) { h.drop(h.names.credits(), -1) }},
	{"a credit is there twice", oracleRef, func(h *history) { h.repeat(h.names.credits(), 5) }},
	{"a credit is of another amount", oracleRef, func(h *history) { h.replace(h.names.credits(), 5, `"amount":`, `"amount":1`) }},
	{"an entry has another time", oracleRef, func(h *history) { h.at(h.names.entries(), 5).Timestamp++ }},
	{"a dead letter is missing", oracleRef, func(h *history) { h.drop(h.names.dead(), 2) }},
	{"dead letters change places", oracleRef, func(h *history) { h.swap(h.names.dead(), 2, 3) }},
	{"the last record of the input was not processed", oracleRef, func(h *history) {
		h.drop(h.names.entries(), -1)
		h.drop(h.names.statements(), -1)
	}},
	{"a statement is missing", oracleRef, func(h *history) { h.drop(h.names.statements(), -1) }},
	{"a statement names another owner", oracleRef, func(h *history) { h.replace(h.names.statements(), 4, "owner-", "owner-x") }},
	{"a debit is joined with a credit before the last", oracleRef, func(h *history) { h.replace(h.names.funded(), -1, `"credit":`, `"credit":1`) }},
	{"a debit finds no credit", oracleRef, func(h *history) { h.drop(h.names.funded(), -1) }},
	{"a window counts a record twice", oracleRef, func(h *history) { h.at(h.names.activity(), -1).Value[7]++ }},
	{"a peer is counted once too often", oracleRef, func(h *history) { h.at(h.names.peers(), -1).Value[7]++ }},
	{"a window closes twice", oracleRef, func(h *history) { h.repeat(h.names.settled(), 4) }},
	{"a window never closes", oracleRef, func(h *history) { h.drop(h.names.settled(), 4) }},
	{"a window closes early", oracleRef, func(h *history) { h.at(h.names.settled(), 4).Value[7]-- }},
	{"a session lacks a record", oracleRef, func(h *history) { h.at(h.names.visits(), -1).Value[7]-- }},
	{"a session that another absorbed is still there", oracleRef, func(h *history) { h.drop(h.names.visits(), h.deleted(h.names.visits())) }},
	{"a window forgets what it counted", oracleRef, func(h *history) { h.repeat(h.names.activity(), 4) }},

	{"an entry's number is skipped", oracleOrder, func(h *history) { h.drop(h.names.entries(), 7) }},
	{"an entry is another than its successor knows", oracleOrder, func(h *history) { h.replace(h.names.entries(), 3, `"amount":`, `"amount":1`) }},

	{"a debit without a credit", oracleCons, func(h *history) { h.drop(h.names.entries(), h.find(h.names.entries(), `"kind":"credit"`)) }},
	{"money is made", oracleCons, func(h *history) { h.replace(h.names.entries(), -1, `"balance":`, `"balance":7`) }},

	{"a transaction is committed here and aborted there", oracleAtomic, func(h *history) { h.marker(h.names.rejected()).Commit = false }},
	{"a message of a transaction is missing", oracleAtomic, func(h *history) { h.drop(h.names.rejected(), 3) }},
	{"a receipt is missing", oracleAtomic, func(h *history) { h.drop(h.names.receipts(), 3) }},
	{"a committed batch is seen in part", oracleAtomic, func(h *history) { h.drop(h.names.transfers(), h.find(h.names.transfers(), `"batch":"batch-1"`)) }},
	{"a batch of unclear end is seen in part", oracleAtomic, func(h *history) {
		h.end("batch-1", unclear)
		h.drop(h.names.transfers(), h.find(h.names.transfers(), `"batch":"batch-1"`))
	}},
	{"a reader was given what was not committed", oracleAtomic, func(h *history) {
		seen := slices.Clone(h.observed[h.names.entries()][0])
		h.observed[h.names.entries()] = [][]glimpse{slices.Insert(seen, 5, glimpse{4, "x"})}
	}},
	{"a reader was not given what was committed", oracleAtomic, func(h *history) {
		seen := h.committed[h.names.entries()][0]
		h.committed[h.names.entries()] = [][]glimpse{seen[:len(seen)-1]}
	}},

	{"a changelog has a row that never was", oracleChangelog, func(h *history) { h.replace(h.names.balances(), 5, `"amount":`, `"amount":1`) }},
	{"a changelog goes back", oracleChangelog, func(h *history) { h.repeat(h.names.balances(), 5) }},
	{"the last row of a changelog is missing", oracleChangelog, func(h *history) { h.drop(h.names.balances(), -1) }},
	{"a buffer still holds what it has passed on", oracleChangelog, func(h *history) { h.drop(h.names.unsettled(), h.deleted(h.names.unsettled())) }},
	{"a table has a row that never was", oracleChangelog, func(h *history) { h.replace(h.names.received(), 2, `"amount":`, `"amount":1`) }},
	{"a table goes back", oracleChangelog, func(h *history) { h.repeat(h.names.received(), 2) }},
	{"the last row of a table is missing", oracleChangelog, func(h *history) { h.drop(h.names.received(), -1) }},
	{"the last session of a changelog is missing", oracleChangelog, func(h *history) { h.drop(h.names.sessions(), -1) }},
	{"the last count of a changelog is missing", oracleChangelog, func(h *history) { h.drop(h.names.windows(), -1) }},

	{"a store lacks a row", oracleStore, func(h *history) { delete(h.stores[0].Rows, account(0)) }},
	{"a store has a row of a lost transaction", oracleStore, func(h *history) { h.stores[0].Rows[account(0)] = `{"seq":999}` }},
	{"a store has a key of a lost transaction", oracleStore, func(h *history) { h.stores[0].Rows["x"] = "{}" }},
	{"a store is behind its position", oracleStore, func(h *history) {
		last := h.visible[h.names.balances()][0]
		h.stores[0].Rows[string(last[len(last)-1].Key)] = `{"seq":0}`
	}},
	{"no store holds the end", oracleStore, func(h *history) {
		h.stores[0].Next = 0
		clear(h.stores[0].Rows)
	}},

	{"a transaction has no end", oracleLSO, func(h *history) { h.marker(h.names.entries()).Producer = 8 }},
	{"a last stable offset is stuck", oracleLSO, func(h *history) { h.stable[h.names.entries()][0]-- }},
	{"a group is behind", oracleLSO, func(h *history) { h.offsets[h.names.transfers()][0]-- }},
}

// Every oracle sees what it is there for.
func TestOraclesBite(t *testing.T) {
	t.Parallel()
	good := newHistory(t)
	bitten := make(map[string]bool)
	for _, d := range doctors {
		bitten[d.by] = true
		t.Run(strings.ReplaceAll(d.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			h := good.clone()
			d.how(h)
			v := h.judge()
			if v.Counts[d.by] == 0 {
				t.Errorf("%s has not seen it; violations: %v", d.by, v.First)
			}
			for _, x := range v.First {
				if x.Oracle == d.by && (x.Where == "" || x.What == "") {
					t.Errorf("a violation without coordinates: %+v", x)
				}
			}
		})
	}
	for _, oracle := range []string{oracleAck, oracleRef, oracleStore, oracleChangelog, oracleAtomic, oracleOrder, oracleCons, oracleLSO} {
		if !bitten[oracle] {
			t.Errorf("no test shows that %s bites", oracle)
		}
	}
}

// clone returns a history that may be doctored without harm to h.
func (h *history) clone() *history {
	c := *h
	c.journal = slices.Clone(h.journal)
	c.log = make(map[string][][]record)
	for topic, partitions := range h.log {
		for _, records := range partitions {
			records = slices.Clone(records)
			for i := range records {
				records[i].Value = bytes.Clone(records[i].Value)
			}
			c.log[topic] = append(c.log[topic], records)
		}
	}
	c.committed, c.observed = maps.Clone(h.committed), maps.Clone(h.observed)
	for _, m := range []*map[string][]int64{&c.high, &c.stable, &c.offsets} {
		*m = maps.Clone(*m)
		for topic, offsets := range *m {
			(*m)[topic] = slices.Clone(offsets)
		}
	}
	c.stores = slices.Clone(h.stores)
	for i := range c.stores {
		c.stores[i].Rows = maps.Clone(c.stores[i].Rows)
	}
	return &c
}

// Ways to doctor. An index below zero counts from the last data record.

func (h *history) index(topic string, i int) int {
	if i < 0 {
		return len(h.log[topic][0]) - 1 + i // the marker is last
	}
	return i
}

func (h *history) at(topic string, i int) *record { return &h.log[topic][0][h.index(topic, i)] }

func (h *history) marker(topic string) *record {
	records := h.log[topic][0]
	return &records[len(records)-1]
}

func (h *history) drop(topic string, i int) {
	i = h.index(topic, i)
	h.log[topic][0] = slices.Delete(slices.Clone(h.log[topic][0]), i, i+1)
}

// repeat writes a record once more, at the end.
func (h *history) repeat(topic string, i int) {
	r := *h.at(topic, i)
	m := h.marker(topic)
	r.Offset = m.Offset
	m.Offset++
	h.log[topic][0] = slices.Insert(slices.Clone(h.log[topic][0]), len(h.log[topic][0])-1, r)
}

func (h *history) swap(topic string, i, j int) {
	a, b := h.at(topic, i), h.at(topic, j)
	*a, *b = *b, *a
	a.Offset, b.Offset = b.Offset, a.Offset
}

// replace changes a value's text, which must be there.
func (h *history) replace(topic string, i int, old, new string) {
	r := h.at(topic, i)
	if !strings.Contains(string(r.Value), old) {
		panic("no " + old + " in " + string(r.Value))
	}
	r.Value = []byte(strings.Replace(string(r.Value), old, new, 1))
	if !json.Valid(r.Value) {
		panic("not JSON any more: " + string(r.Value))
	}
}

// find returns the first record whose value has a text.
func (h *history) find(topic, text string) int {
	return slices.IndexFunc(h.log[topic][0], func(r record) bool { return strings.Contains(string(r.Value), text) })
}

// deleted returns the last record that is a delete.
func (h *history) deleted(topic string) int {
	for i, r := range slices.Backward(h.log[topic][0]) {
		if r.Value == nil && !r.Control {
			return i
		}
	}
	panic("no delete in " + topic)
}

// end changes what a driver knows of the end of a batch.
func (h *history) end(batch string, o outcome) {
	for i := range h.journal {
		if s := &h.journal[i]; s.ID == "" && s.Batch == batch {
			s.Outcome = o
		}
	}
}
