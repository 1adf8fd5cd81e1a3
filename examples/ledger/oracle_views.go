package main

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// checkViews recomputes the statements and the activity from the entries.
func (ref *reference) checkViews(v *verdict) {
	h := ref.h
	topic := h.names.statements()
	counts, peers := make(map[string]int64), make(map[string]int64)
	for p, records := range h.visible[h.names.entries()] {
		var want []timed[statement]
		latest := int64(-1)
		for _, r := range records {
			e, err := decode[entry](r)
			if err != nil {
				continue // REF says so
			}
			v.Checked[oracleRef]++
			if o := ownerOf(e.Account); o != "" {
				want = append(want, timed[statement]{message: statement{o, e.Seq, e.Digest}, time: r.Timestamp})
			}
			peers[e.Peer]++
			// A window is closed once the latest time, this record's included, has reached its end and the grace period.
			latest = max(latest, r.Timestamp)
			start := r.Timestamp - r.Timestamp%windowSize.Milliseconds()
			if start+windowSize.Milliseconds()+windowGrace.Milliseconds() > latest {
				counts[windowKey(e.Account, start)]++
			}
		}
		var got []timed[statement]
		for _, r := range h.visible[topic][p] {
			s, err := decode[statement](r)
			if err != nil {
				v.add(oracleRef, at(topic, p, r.Offset), "%v", err)
			}
			got = append(got, timed[statement]{message: s, time: r.Timestamp})
		}
		if i, ok := differ(want, got); ok {
			v.add(oracleRef, fmt.Sprintf("%s-%d", topic, p), "statement %d: %s", i, difference(want, got, i))
		}
	}
	ref.checkCounts(v, oracleRef, h.names.peers(), peers, "")
	ref.checkCounts(v, oracleChangelog, h.names.peerCounts(), peers, "")
	ref.checkCounts(v, oracleRef, h.names.activity(), counts, "")
	ref.checkCounts(v, oracleChangelog, h.names.windows(), counts, "\x00\x00\x00\x00") // and a number for windows that are kept apart
}

// checkCounts wants the counts of each key to rise to the right one.
func (ref *reference) checkCounts(v *verdict, oracle, topic string, want map[string]int64, suffix string) {
	last := make(map[string]int64)
	for p, records := range ref.h.visible[topic] {
		for _, r := range records {
			v.Checked[oracle]++
			key, ok := strings.CutSuffix(string(r.Key), suffix)
			if !ok || len(r.Value) != 8 {
				v.add(oracle, at(topic, p, r.Offset), "not a count: %q = %x", r.Key, r.Value)
				continue
			}
			n := int64(binary.BigEndian.Uint64(r.Value))
			if n <= last[key] {
				v.add(oracle, at(topic, p, r.Offset), "%s is counted %d after %d", describeWindow(key), n, last[key])
			}
			last[key] = n
		}
	}
	keys := make(map[string]bool)
	for _, m := range []map[string]int64{want, last} {
		for k := range m {
			keys[k] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if last[key] != want[key] {
			v.add(oracle, topic, "%s is counted %d, want %d", describeWindow(key), last[key], want[key])
		}
	}
}

// windowKey is the key of a window in the topic, as Kafka's TimeWindowedSerializer writes it.
func windowKey(account string, start int64) string {
	return string(binary.BigEndian.AppendUint64([]byte(account), uint64(start)))
}

// describeWindow puts a key into words, of a window or of an account alone.
func describeWindow(key string) string {
	if len(key) <= len(account(0)) {
		return strconv.Quote(key)
	}
	return fmt.Sprintf("%s at %d", key[:len(key)-8], binary.BigEndian.Uint64([]byte(key[len(key)-8:])))
}

// ownerOf returns the owner of an account by its name.
func ownerOf(name string) string {
	i, err := strconv.Atoi(strings.TrimPrefix(name, "account-"))
	if err != nil {
		return ""
	}
	return owner(i)
}

// checkChangelogs: the changelog of the balances holds only rows that the reference had, in their order, and ends with the
// last.
func (ref *reference) checkChangelogs(v *verdict) {
	topic := ref.h.names.balances()
	last := make(map[string]balance)
	for p, records := range ref.h.visible[topic] {
		for _, r := range records {
			v.Checked[oracleChangelog]++
			name, where := string(r.Key), at(topic, p, r.Offset)
			b, err := decode[balance](r)
			states := ref.states[name]
			switch {
			case err != nil:
				v.add(oracleChangelog, where, "%v", err)
			case b.Seq <= last[name].Seq:
				v.add(oracleChangelog, where, "%s stands at entry %d after %d", name, b.Seq, last[name].Seq)
			case b.Seq >= int64(len(states)) || b != states[b.Seq]:
				v.add(oracleChangelog, where, "%s is %+v, which it never was", name, b)
			}
			last[name] = b
		}
	}
	for i := range ref.h.accounts {
		name := account(i)
		want := ref.states[name][len(ref.states[name])-1]
		if want.Seq > 0 && last[name] != want {
			v.add(oracleChangelog, topic, "%s ends as %+v, want %+v", name, last[name], want)
		}
	}
}

// checkStores: what an instance holds of a store on its disk is the changelog up to the position that stands beside it, and
// some instance holds all of it.
func (h *history) checkStores(v *verdict) {
	covered := make(map[string]int64)
	for _, d := range h.stores {
		v.Checked[oracleStore]++
		where := fmt.Sprintf("%s-%d on %s at %d", d.Changelog, d.Partition, d.Instance, d.Next)
		log := h.visible[d.Changelog]
		if int(d.Partition) >= len(log) {
			v.add(oracleStore, where, "there is no such partition")
			continue
		}
		want := make(map[string]string)
		for _, r := range log[d.Partition] {
			if r.Offset < d.Next {
				want[string(r.Key)] = string(r.Value)
			}
		}
		if d.Changelog == h.names.windows() {
			oldest := newestWindow(want) - (windowSize + windowGrace).Milliseconds()
			dropWindows(want, oldest)
			dropWindows(d.Rows, oldest) // a store may keep them
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if got, ok := d.Rows[key]; !ok || got != want[key] {
				v.add(oracleStore, where, "%q is %q (%t), the changelog says %q", key, got, ok, want[key])
			}
		}
		for _, key := range slices.Sorted(maps.Keys(d.Rows)) {
			if _, ok := want[key]; !ok {
				v.add(oracleStore, where, "%q is %q, which the changelog does not have", key, d.Rows[key])
			}
		}
		if part := fmt.Sprintf("%s-%d", d.Changelog, d.Partition); d.Next > covered[part] {
			covered[part] = d.Next
		}
	}
	for _, topic := range []string{h.names.balances(), h.names.windows(), h.names.peerCounts()} {
		for p, records := range h.visible[topic] {
			part := fmt.Sprintf("%s-%d", topic, p)
			if n := len(records); n > 0 && covered[part] <= records[n-1].Offset {
				v.add(oracleStore, part, "no instance holds it beyond %d, its last record is at %d", covered[part], records[n-1].Offset)
			}
		}
	}
}

// windowStart returns the start in a key of the windows' changelog: account, start, a number.
func windowStart(key string) int64 {
	if len(key) < 12 {
		return -1
	}
	return int64(binary.BigEndian.Uint64([]byte(key[len(key)-12:])))
}

func newestWindow(rows map[string]string) int64 {
	newest := int64(-1)
	for key := range rows {
		newest = max(newest, windowStart(key))
	}
	return newest
}

// dropWindows leaves out the windows up to a start: those that the retention, which is size and grace period, has passed.
func dropWindows(rows map[string]string, upTo int64) {
	maps.DeleteFunc(rows, func(key, _ string) bool { return windowStart(key) <= upTo })
}
