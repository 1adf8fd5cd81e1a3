package api

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
)

func fullFetch(partitions int) *kmsg.FetchRequest {
	t := kmsg.FetchRequestTopic{Topic: "t"}
	for p := range partitions {
		t.Partitions = append(t.Partitions, kmsg.FetchRequestTopicPartition{Partition: int32(p)})
	}
	return &kmsg.FetchRequest{Version: 12, Topics: []kmsg.FetchRequestTopic{t}}
}

func incremental(s *fetchSession, epoch int32) *kmsg.FetchRequest {
	return &kmsg.FetchRequest{Version: 12, SessionID: s.id, SessionEpoch: epoch}
}

// TestSessionsAreBounded: at the bound the one that was not used for the longest goes, if that is long enough, and else none is given.
func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	c, now := newFetchSessions(), time.Unix(0, 0)
	begin := func(r *kmsg.FetchRequest) *fetchSession {
		s, err := c.begin(r, "User:a", now)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := begin(fullFetch(1))
	second := begin(fullFetch(2))
	for range maxFetchSessions - 2 {
		begin(fullFetch(1))
	}
	if begin(fullFetch(1)) != nil {
		t.Error("one too many")
	}
	now = now.Add(sessionEviction)
	begin(incremental(first, 1))
	if begin(fullFetch(1)) == nil || len(c.all) != maxFetchSessions || c.all[first.id] == nil {
		t.Error("none has made room, or the one in use")
	}
	now = now.Add(sessionEviction)
	if begin(fullFetch(maxSessionPartitions)) == nil || len(c.all) != 1 || c.partitions != maxSessionPartitions {
		t.Errorf("a large one: %d sessions, %d partitions", len(c.all), c.partitions)
	}
	if begin(fullFetch(1)) != nil {
		t.Error("a partition too many")
	}
	var large *fetchSession
	for _, s := range c.all {
		large = s
	}
	more := incremental(large, 1)
	more.Topics = []kmsg.FetchRequestTopic{{Topic: "u", Partitions: []kmsg.FetchRequestTopicPartition{{Partition: 0}}}}
	if s, err := c.begin(more, "User:a", now); s != nil || err != kerr.FetchSessionIDNotFound || len(c.all) != 0 || c.partitions != 0 {
		t.Errorf("grown beyond the bound: %v, %v: %d sessions, %d partitions", s, err, len(c.all), c.partitions)
	}
	if begin(&kmsg.FetchRequest{Version: 12}) != nil || begin(&kmsg.FetchRequest{Version: 12, SessionEpoch: finalEpoch, Topics: fullFetch(1).Topics}) != nil ||
		begin(&kmsg.FetchRequest{Version: 6, Topics: fullFetch(1).Topics}) != nil {
		t.Error("a session for nothing, for a final fetch, or for a version without")
	}
	if _, err := c.begin(incremental(second, 1), "User:a", now); err != kerr.FetchSessionIDNotFound {
		t.Errorf("evicted: %v", err)
	}
}

// TestSessionsCount: what sessions hold is given back, however they end.
func TestSessionsCount(t *testing.T) {
	t.Parallel()
	c, now := newFetchSessions(), time.Unix(0, 0)
	begin := func(r *kmsg.FetchRequest, principal string) (*fetchSession, *kerr.Error) {
		return c.begin(r, principal, now)
	}
	s, _ := begin(fullFetch(3), "User:a")
	if _, err := begin(incremental(s, 2), "User:a"); err != kerr.InvalidFetchSessionEpoch {
		t.Errorf("another epoch: %v", err)
	}
	if _, err := begin(incremental(s, 1), "User:b"); err != kerr.FetchSessionIDNotFound {
		t.Errorf("another's: %v", err)
	}
	byID := incremental(s, 1)
	byID.Version = 13
	if _, err := begin(byID, "User:a"); err != kerr.FetchSessionTopicIDError {
		t.Errorf("by id: %v", err)
	}
	r := incremental(s, 1)
	r.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "t", Partitions: []int32{1, 7}}}
	r.Topics = []kmsg.FetchRequestTopic{{Topic: "u", Partitions: []kmsg.FetchRequestTopicPartition{{Partition: 0}, {Partition: 1}}}}
	if got, err := begin(r, "User:a"); got != s || err != nil || c.partitions != 4 || len(s.wanted()) != 2 {
		t.Errorf("%v, %v: %d partitions, %+v", got, err, c.partitions, s.wanted())
	}
	s.epoch = 1<<31 - 1
	if _, err := begin(incremental(s, 1<<31-1), "User:a"); err != nil || s.epoch != 1 {
		t.Errorf("after the last epoch: %v, %d", err, s.epoch)
	}
	r = incremental(s, 1)
	r.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "t", Partitions: []int32{0, 2}}, {Topic: "u", Partitions: []int32{0, 1}}}
	if got, err := begin(r, "User:a"); got != nil || err != nil || c.partitions != 0 || len(c.all) != 0 {
		t.Errorf("all forgotten: %v, %v: %d partitions of %d", got, err, c.partitions, len(c.all))
	}
	s, _ = begin(fullFetch(3), "User:a")
	again := fullFetch(2)
	again.SessionID = s.id
	o, _ := begin(again, "User:a")
	if c.partitions != 2 || len(c.all) != 1 || o.id == s.id {
		t.Errorf("begun anew: %d partitions of %d", c.partitions, len(c.all))
	}
	done := incremental(o, finalEpoch)
	if _, err := begin(done, "User:a"); err != nil || c.partitions != 0 || len(c.all) != 0 {
		t.Errorf("done: %v, %d partitions of %d", err, c.partitions, len(c.all))
	}
}

// TestRecordsAreNews: records that an earlier answer had no room for are told, though the client knows all offsets.
func TestRecordsAreNews(t *testing.T) {
	t.Parallel()
	s, _ := newFetchSessions().begin(fullFetch(1), "User:a", time.Unix(0, 0))
	answer := func(bytes int, incremental bool) int {
		f := &fetch{topics: []fetchTopic{{name: "t", partitions: []fetchPartition{{ReadResult: commitlog.ReadResult{Bytes: bytes}}}}}}
		s.tell(f, incremental)
		return len(f.topics)
	}
	if first, rest, nothing := answer(10, false), answer(10, true), answer(0, true); first != 1 || rest != 1 || nothing != 0 {
		t.Errorf("topics told: %d, then %d of the rest, then %d with nothing new", first, rest, nothing)
	}
}
