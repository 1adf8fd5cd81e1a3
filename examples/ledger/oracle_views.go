package main

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// checkViews recomputes from the entries what the views show.
func (ref *reference) checkViews(v *verdict) {
	h := ref.h
	counts, peers := make(map[string]int64), make(map[string]int64)
	settled, unsettled, visits := make(map[string]int64), make(map[string]int64), make(map[string]int64)
	received := make(map[string][]entry) // the credits of each account
	for p, records := range h.visible[h.names.entries()] {
		var want []timed[statement]
		var wantFunded []timed[funding]
		latest := int64(-1)
		windows, sessions := make(map[string]int64), make(visitsOf)
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
			if e.Kind == credited {
				received[e.Account] = append(received[e.Account], e)
			} else if credits := received[e.Account]; len(credits) > 0 {
				c := credits[len(credits)-1]
				wantFunded = append(wantFunded, timed[funding]{message: funding{e.Seq, c.Seq, c.Digest}, time: r.Timestamp})
			}
			// A window is closed once the latest time, this record's included, has reached its end and the grace period.
			latest = max(latest, r.Timestamp)
			start := r.Timestamp - r.Timestamp%windowSize.Milliseconds()
			if open(start, latest) {
				windows[windowKey(e.Account, start)]++
			}
			sessions.add(e.Account, r.Timestamp, latest-windowGrace.Milliseconds())
		}
		maps.Copy(counts, windows)
		for key, n := range windows {
			if start := int64(binary.BigEndian.Uint64([]byte(key[len(key)-8:]))); open(start, latest) {
				unsettled[key] = n
			} else {
				settled[key] = n
			}
		}
		sessions.count(visits)
		checkMessages(h, v, h.names.statements(), p, want)
		checkMessages(h, v, h.names.funded(), p, wantFunded)
	}
	ref.checkReceived(v, received)
	ref.checkCounts(v, oracleRef, h.names.peers(), peers, "")
	ref.checkCounts(v, oracleChangelog, h.names.peerCounts(), peers, "")
	ref.checkCounts(v, oracleRef, h.names.activity(), counts, "")
	ref.checkCounts(v, oracleRef, h.names.settled(), settled, "")
	ref.checkOnce(v, h.names.settled())
	ref.checkRows(v, oracleChangelog, h.names.unsettled(), unsettled, func([]byte) (int64, bool) { return 0, false })
	ref.checkRows(v, oracleRef, h.names.visits(), visits, count)
	ref.checkRows(v, oracleChangelog, h.names.sessions(), visits, count)
	ref.checkCounts(v, oracleChangelog, h.names.windows(), counts, "\x00\x00\x00\x00") // and a number for windows that are kept apart
}

// checkMessages wants a partition of a topic to hold these messages, in order.
func checkMessages[T comparable](h *history, v *verdict, topic string, p int, want []timed[T]) {
	var got []timed[T]
	for _, r := range h.visible[topic][p] {
		m, err := decode[T](r)
		if err != nil {
			v.add(oracleRef, at(topic, p, r.Offset), "%v", err)
		}
		got = append(got, timed[T]{message: m, time: r.Timestamp})
	}
	if i, ok := differ(want, got); ok {
		v.add(oracleRef, fmt.Sprintf("%s-%d", topic, p), "message %d: %s", i, difference(want, got, i))
	}
}

// checkReceived wants the changelog of the credits to hold only credits, in their order, and to end with the last of each account.
func (ref *reference) checkReceived(v *verdict, credits map[string][]entry) {
	topic := ref.h.names.received()
	left := maps.Clone(credits)
	for p, records := range ref.h.visible[topic] {
		for _, r := range records {
			v.Checked[oracleChangelog]++
			name := string(r.Key)
			e, err := decode[entry](r)
			i := slices.Index(left[name], e)
			if err != nil || i < 0 {
				v.add(oracleChangelog, at(topic, p, r.Offset), "%s is %+v (%v), which none of the credits from there on is", name, e, err)
				continue
			}
			left[name] = left[name][i+1:]
		}
	}
	for i := range ref.h.accounts {
		if name := account(i); len(left[name]) > 0 {
			v.add(oracleChangelog, topic, "%s does not end with its last credit: %d follow", name, len(left[name]))
		}
	}
}

// open reports whether a window takes records and has no final result: the latest time has not reached its end and the grace period.
func open(start, latest int64) bool {
	return start+windowSize.Milliseconds()+windowGrace.Milliseconds() > latest
}

// checkOnce wants each key once: a window closes only once.
func (ref *reference) checkOnce(v *verdict, topic string) {
	for p, records := range ref.h.visible[topic] {
		seen := make(map[string]int64)
		for _, r := range records {
			key := string(r.Key)
			if before, twice := seen[key]; twice {
				v.add(oracleRef, at(topic, p, r.Offset), "%s has a final result, and had one at %d", describeWindow(key), before)
			}
			seen[key] = r.Offset
		}
	}
}

// checkRows wants the last values of the keys in a topic, deletes heeded, to be those of a table. What value cannot read is there, and
// that is all that is asked of it.
func (ref *reference) checkRows(v *verdict, oracle, topic string, want map[string]int64, value func([]byte) (int64, bool)) {
	got := make(map[string][]byte)
	for _, records := range ref.h.visible[topic] {
		for _, r := range records {
			v.Checked[oracle]++
			if r.Value == nil {
				delete(got, string(r.Key))
			} else {
				got[string(r.Key)] = r.Value
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		row, there := got[key]
		delete(got, key)
		if n, ok := value(row); !there || ok && n != want[key] {
			v.add(oracle, topic, "%s is %x, want %d", describeWindow(key), row, want[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		v.add(oracle, topic, "%s is %x, and should not be there", describeWindow(key), got[key])
	}
}

// count reads a number as Kafka's LongSerializer writes it; what is none is -1.
func count(b []byte) (int64, bool) {
	if len(b) != 8 {
		return -1, true
	}
	return int64(binary.BigEndian.Uint64(b)), true
}

// visit is a session of an account.
type visit struct{ start, end, n int64 }

// visitsOf are the sessions of each account of a partition.
type visitsOf map[string][]visit

// add takes a record into a session: of its own, or one with all those that it is near to. The record is late if that session has
// ended more than the gap before closed, which is the latest time less the grace period.
func (s visitsOf) add(account string, t, closed int64) {
	gap := sessionGap.Milliseconds()
	one := visit{t, t, 1}
	var apart []visit
	for _, other := range s[account] {
		if other.end < t-gap || other.start > t+gap {
			apart = append(apart, other)
			continue
		}
		one = visit{min(one.start, other.start), max(one.end, other.end), one.n + other.n}
	}
	if one.end >= closed-gap {
		s[account] = append(apart, one)
	}
}

// count adds the sessions to a table.
func (s visitsOf) count(table map[string]int64) {
	for account, visits := range s {
		for _, x := range visits {
			table[sessionKey(account, x.start, x.end)] = x.n
		}
	}
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

// sessionKey is the key of a session in the topic and in the changelog, as Kafka's SessionWindowedSerializer writes it.
func sessionKey(account string, start, end int64) string {
	return string(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte(account), uint64(end)), uint64(start)))
}

// describeWindow puts a key into words, of a window, a session or an account alone.
func describeWindow(key string) string {
	switch n := len(account(0)); {
	case len(key) <= n:
		return strconv.Quote(key)
	case len(key) == n+16:
		end, start := binary.BigEndian.Uint64([]byte(key[n:n+8])), binary.BigEndian.Uint64([]byte(key[n+8:]))
		return fmt.Sprintf("%s from %d to %d", key[:n], start, end)
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
			switch key := string(r.Key); {
			case r.Offset >= d.Next:
			case r.Value == nil:
				delete(want, key)
			case d.Changelog == h.names.unsettled():
				want[key] = waits
			default:
				want[key] = string(r.Value)
			}
		}
		var oldest int64 // what is older the retention has passed, and a store may keep it or not
		switch d.Changelog {
		case h.names.windows():
			oldest = newest(want, windowStart) - (windowSize + windowGrace).Milliseconds()
			dropUpTo(want, windowStart, oldest)
			dropUpTo(d.Rows, windowStart, oldest)
		case h.names.sessions():
			oldest = newest(want, sessionEnd) - sessionRetention.Milliseconds()
			dropUpTo(want, sessionEnd, oldest)
			dropUpTo(d.Rows, sessionEnd, oldest)
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
	for _, topic := range []string{h.names.balances(), h.names.windows(), h.names.unsettled(), h.names.sessions(), h.names.peerCounts(), h.names.received()} {
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

// sessionEnd returns the end in a key of the sessions' changelog: account, end, start.
func sessionEnd(key string) int64 {
	if len(key) < 16 {
		return -1
	}
	return int64(binary.BigEndian.Uint64([]byte(key[len(key)-16:])))
}

func newest(rows map[string]string, time func(key string) int64) int64 {
	last := int64(-1)
	for key := range rows {
		last = max(last, time(key))
	}
	return last
}

// dropUpTo leaves out the rows up to a time.
func dropUpTo(rows map[string]string, time func(key string) int64, upTo int64) {
	maps.DeleteFunc(rows, func(key, _ string) bool { return time(key) <= upTo })
}
