package group

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"
)

// subscribed is what a consumer says that it reads: version, topics, user data.
func subscribed(topics ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 0}, uint32(len(topics)))
	for _, t := range topics {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(t))), t...)
	}
	return append(b, 0xff, 0xff, 0xff, 0xff)
}

// TestExpireOffsets walks groups of every kind through the retention.
func TestExpireOffsets(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	start := time.UnixMilli(1_700_000_000_000)
	name := func(id TopicID) (string, bool) { return fmt.Sprintf("t%d", id[0]), id[0] != 9 }
	offsets := func(topics ...byte) (all []Offset) {
		for _, x := range topics {
			all = append(all, Offset{Partition: Partition{Topic: TopicID{x}}, At: 5, LeaderEpoch: -1})
		}
		return all
	}
	c := New(Config{})
	apply := func(records ...[]byte) {
		t.Helper()
		for _, r := range records {
			if err := c.Replay(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit := func(now time.Time, r CommitRequest) {
		t.Helper()
		record, results := c.CommitOffsets(now, r)
		for _, err := range results {
			if err != nil {
				t.Fatal(err)
			}
		}
		apply(record)
	}
	join := func(now time.Time, group, protocolType string, metadata []byte) {
		t.Helper()
		e := c.Join(now, &scriptTopics{}, 1, JoinRequest{Group: group, NewMemberID: "m", SessionTimeout: time.Second, ProtocolType: protocolType,
			Protocols: []Protocol{{"p", metadata}}})
		apply(e.Records...)
		e = c.Sync(now, &scriptTopics{}, 2, SyncRequest{Group: group, MemberID: "m", Generation: 1, Assignments: map[string][]byte{"m": {1}}})
		apply(e.Records...)
		if c.groups[group].state != Stable {
			t.Fatal(c.groups[group].state)
		}
	}
	expire := func(now time.Time) int {
		records := c.ExpireOffsets(now, 7*day, name)
		apply(records...)
		return len(records)
	}
	expect := func(what string, want map[string]int) {
		t.Helper()
		for group, n := range want {
			g := c.groups[group]
			if g == nil != (n < 0) || g != nil && len(g.offsets) != n {
				t.Errorf("%s: group %s: %+v, want %d offsets", what, group, g, n)
			}
		}
	}
	commit(start, CommitRequest{Group: "simple", Generation: -1, Offsets: offsets(1, 2)})
	commit(start, CommitRequest{Group: "staged", Generation: -1, Offsets: offsets(1, 2)})
	staged, _ := c.StageOffsets(start, 7, CommitRequest{Group: "staged", Generation: -1, Offsets: offsets(2)})
	apply(staged)
	join(start, "left", "consumer", subscribed("t1"))
	commit(start, CommitRequest{Group: "left", MemberID: "m", Generation: 1, Offsets: offsets(1)})
	join(start, "stable", "consumer", subscribed("t1"))
	commit(start, CommitRequest{Group: "stable", MemberID: "m", Generation: 1, Offsets: offsets(1, 2, 9)})
	join(start, "connect", "connect", []byte("opaque"))
	commit(start, CommitRequest{Group: "connect", MemberID: "m", Generation: 1, Offsets: offsets(1)})

	join(start, "rebalancing", "consumer", subscribed("t1"))
	commit(start, CommitRequest{Group: "rebalancing", MemberID: "m", Generation: 1, Offsets: offsets(1, 2)})
	c.Join(start, &scriptTopics{}, 3, JoinRequest{Group: "rebalancing", NewMemberID: "n", SessionTimeout: time.Second, ProtocolType: "consumer",
		Protocols: []Protocol{{"p", subscribed("t1")}}})

	later := start.Add(5 * day)
	commit(later, CommitRequest{Group: "simple", Generation: -1, Offsets: offsets(2)})
	e, _, _ := c.Leave(later, &scriptTopics{}, "left", []LeaveMember{{MemberID: "m"}})
	apply(e.Records...)
	if n := expire(start.Add(7*day - time.Millisecond)); n != 0 {
		t.Errorf("%d records before the time", n)
	}
	expire(start.Add(7 * day))
	expect("after seven days", map[string]int{"simple": 1, "staged": 1, "left": 1, "stable": 1, "connect": 1, "rebalancing": 2})

	again := New(Config{}) // that a restart forgets nothing of it
	if err := c.Snapshot(again.Replay); err != nil {
		t.Fatal(err)
	}
	again.Recovered(start)
	c = again
	expire(start.Add(11 * day))
	expect("before the emptied group's time", map[string]int{"left": 1})
	apply(encodeEnd(7, false))
	expire(later.Add(7 * day))
	expect("after seven more", map[string]int{"simple": -1, "staged": -1, "left": -1, "stable": 1, "connect": 1})
	if n := expire(later.Add(100 * day)); n != 0 {
		t.Errorf("%d records of groups in use", n)
	}
}

// TestOldGenerationRecords: the version before, which does not say since when a group is empty, is read; its offsets expire by their own
// time.
func TestOldGenerationRecords(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	v1 := []byte{recordGeneration, 1, 2, 'g', byte(Empty), 4, 16, 'c', 'o', 'n', 's', 'u', 'm', 'e', 'r', 0, 0, 0}
	if err := c.Replay(v1); err != nil {
		t.Fatal(err)
	}
	if g := c.groups["g"]; g.generation != 2 || g.protocolType != "consumer" || g.emptySince != 0 {
		t.Errorf("%+v", g)
	}
	r, _ := c.CommitOffsets(time.UnixMilli(1000), CommitRequest{Group: "g", Generation: -1, Offsets: []Offset{{At: 1}}})
	if err := c.Replay(r); err != nil {
		t.Fatal(err)
	}
	topic := func(TopicID) (string, bool) { return "t", true }
	if n := len(c.ExpireOffsets(time.UnixMilli(1999), time.Second, topic)); n != 0 {
		t.Errorf("%d records before the time", n)
	}
	if n := len(c.ExpireOffsets(time.UnixMilli(2000), time.Second, topic)); n != 1 {
		t.Errorf("%d records", n)
	}
}
