package group

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// example returns a coordinator with a bit of everything, and its records.
func example(t testing.TB) [][]byte {
	t.Helper()
	c, now := New(Config{}), time.UnixMilli(1000)
	topics := scriptTopics{version: 1, partitions: map[string]int32{"t": 3, "u": 1}}
	step := func(e Effects) {
		for _, r := range e.Records {
			if err := c.Replay(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	join := JoinRequest{
		Group: "g", InstanceID: "i", NewMemberID: "m", ClientID: "c", Host: "/h", SessionTimeout: time.Second,
		ProtocolType: "consumer", Protocols: []Protocol{{"range", []byte("sub")}},
	}
	step(c.Join(now, &topics, 1, join))
	step(c.Sync(now, &topics, 2, SyncRequest{Group: "g", MemberID: "m", InstanceID: "i", Generation: 1, Assignments: map[string][]byte{"m": []byte("a")}}))
	offsets := []Offset{{Partition{TopicID{1}, 2}, 3, -1, "meta"}}
	r, _ := c.CommitOffsets(now, CommitRequest{Group: "h", Generation: -1, Offsets: offsets})
	step(Effects{Records: [][]byte{r}})
	r, _ = c.StageOffsets(now, 5, CommitRequest{Group: "h", Generation: -1, Offsets: offsets})
	step(Effects{Records: [][]byte{r}})
	for _, id := range []string{"a", "b"} {
		e, res := c.ConsumerHeartbeat(now, &topics, beatRequest(args{words: []string{"k"}, named: map[string]string{
			"id": id, "instance": "i" + id, "names": "t", "pattern": "u.*", "rack": "r", "assignor": "range"}}))
		if res.Err != nil {
			t.Fatal(res.Message)
		}
		step(e)
	}
	mixed := join
	mixed.Group, mixed.Protocols = "k", []Protocol{{"range", consumerSubscription(parse([]string{"topics=t,u", "owned=t/0"}))}}
	step(c.Join(now, &topics, 3, mixed))
	return append(snapshot(t, c), encodeEnd(5, true), encodeForget(TopicID{1}), encodeConsumerGone("k", "a"), encodeConsumerEnd("k"))
}

// TestFirstMemberVersion: a record of version 1, which has neither epochs of partitions nor members of the classic protocol, is read.
func TestFirstMemberVersion(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	m := &consumerMember{id: "m", epoch: 3, previous: 2, names: []string{"t"}, assigned: []Partition{{TopicID{1}, 0}, {TopicID{1}, 2}}}
	record := m.record("g")
	// The epochs of two partitions, the empty set of those to give up, and that it is no classic one: version 1 has the set alone.
	record = append(record[:len(record)-4], 0)
	record[1] = 1
	for _, r := range [][]byte{newConsumerGroup().record("g"), record} {
		if err := c.Replay(r); err != nil {
			t.Fatal(err)
		}
	}
	got := c.groups["g"].consumer.members["m"]
	if !slices.Equal(got.assigned, m.assigned) || got.epoch != 3 || len(got.since) != 0 || got.classic != nil {
		t.Errorf("%+v", got)
	}
	again := New(Config{})
	for _, r := range snapshot(t, c) {
		if err := again.Replay(r); err != nil {
			t.Fatal(err)
		}
	}
	if x := again.groups["g"].consumer.members["m"]; x.had(m.assigned[0], 3) || len(x.since) != 0 {
		t.Errorf("since when it has a partition is not known, but %v", x.since)
	}
	record[1] = memberVersion + 1
	if err := c.Replay(record); err == nil {
		t.Error("a later version is read")
	}
}

// FuzzReplay feeds damaged records: they are refused without a panic, and what is taken can be written and read again.
func FuzzReplay(f *testing.F) {
	for _, r := range example(f) {
		f.Add(r)
	}
	f.Add((&consumerMember{id: "m", state: unreleased + 1}).record("g"))
	f.Fuzz(func(t *testing.T, record []byte) {
		c := New(Config{})
		_, err := Describe(record)
		if c.Replay(record) != nil {
			return
		}
		if err != nil {
			t.Errorf("it is not described: %v", err)
		}
		c.Recovered(time.UnixMilli(0))
		again := New(Config{})
		for _, r := range snapshot(t, c) {
			if err := again.Replay(r); err != nil {
				t.Fatalf("snapshot of what was replayed: %v", err)
			}
		}
		if !slices.EqualFunc(snapshot(t, c), snapshot(t, again), bytes.Equal) {
			t.Error("the snapshot rebuilds another state")
		}
		c.Tick(time.UnixMilli(0).Add(MaxSessionTimeout), &scriptTopics{})
	})
}
