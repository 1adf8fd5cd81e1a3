package client

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/runtime/internal/recordbatch"
)

// What comes of each answer about a partition that is read at offset 10 from node 1, which leads it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	b := recordbatch.NewBuilder(0, 0)
	for range 12 {
		if err := b.Append(nil, []byte("v"), 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	records := b.Finish(recordbatch.NoProducer) // offsets 0 to 11
	damaged := append([]byte(nil), records...)
	damaged[len(damaged)-1]++
	type outcome struct {
		ended func(error) bool // nil: it goes on
		again bool             // with a look at who leads, after a while
		asks  int32            // the node that is asked next
		read  bool
		lag   int64 // of the news, -1: there are none
	}
	again := outcome{again: true, asks: noLeader, lag: -1}
	for name, c := range map[string]struct {
		cfg    FetcherConfig
		answer func(p *kmsg.FetchResponseTopicPartition)
		want   outcome
	}{
		"nothing":                {answer: func(*kmsg.FetchResponseTopicPartition) {}, want: outcome{asks: 1, lag: 10}},
		"records":                {answer: func(p *kmsg.FetchResponseTopicPartition) { p.RecordBatches = records }, want: outcome{asks: 1, read: true, lag: 8}},
		"more than is stable":    {FetcherConfig{ReadUncommitted: true}, func(*kmsg.FetchResponseTopicPartition) {}, outcome{asks: 1, lag: 15}},
		"no last stable offset":  {answer: func(p *kmsg.FetchResponseTopicPartition) { p.LastStableOffset = -1 }, want: outcome{asks: 1, lag: 15}},
		"an end that went back":  {answer: func(p *kmsg.FetchResponseTopicPartition) { p.LastStableOffset = 5 }, want: outcome{asks: 1}},
		"moved":                  {answer: code(kerr.NotLeaderForPartition), want: again},
		"another topic's id":     {answer: code(kerr.UnknownTopicID), want: again},
		"the broker's own fault": {answer: code(kerr.UnknownServerError), want: again},
		"forbidden":              {answer: code(kerr.TopicAuthorizationFailed), want: outcome{ended: is(kerr.TopicAuthorizationFailed), asks: 1, lag: -1}},
		"out of range":           {answer: code(kerr.OffsetOutOfRange), want: outcome{ended: isA[*OutOfRangeError], asks: 1, lag: -1}},
		"truncated":              {answer: func(p *kmsg.FetchResponseTopicPartition) { p.DivergingEpoch.EndOffset = 4 }, want: outcome{ended: isA[*TruncatedError], asks: 1, lag: -1}},
		"damaged":                {answer: func(p *kmsg.FetchResponseTopicPartition) { p.RecordBatches = damaged }, want: outcome{ended: isA[*recordbatch.CorruptError], asks: 1, lag: -1}},
		"another replica":        {answer: func(p *kmsg.FetchResponseTopicPartition) { p.PreferredReadReplica = 2 }, want: outcome{asks: 2, lag: -1}},
		"itself":                 {answer: func(p *kmsg.FetchResponseTopicPartition) { p.PreferredReadReplica = 1 }, want: outcome{asks: 1, lag: 10}},
		"records, and another replica": {answer: func(p *kmsg.FetchResponseTopicPartition) {
			p.RecordBatches, p.PreferredReadReplica = records, 2
		}, want: outcome{asks: 1, read: true, lag: 8}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := bareFetcher(c.cfg)
			d := &feed{tp: TopicPartition{Topic: "t"}, leader: PartitionLeader{1, 0}, replica: noLeader, position: 10, lastEpoch: -1, tries: 3}
			p := kmsg.NewFetchResponseTopicPartition()
			p.HighWatermark, p.LastStableOffset = 25, 20
			c.answer(&p)
			read := f.takeLocked(d, &p, 1)
			if read != c.want.read || d.node() != c.want.asks || d.ended != (c.want.ended != nil) {
				t.Errorf("read %v, asks %d next, ended %v; want %+v", read, d.node(), d.ended, c.want)
			}
			if again := d.tries == 4 && d.notBefore.After(time.Now().Add(-time.Minute)); again != c.want.again {
				t.Errorf("tries %d, not before %v", d.tries, d.notBefore)
			}
			news := f.Take(nil)
			switch {
			case c.want.ended != nil:
				if len(news) != 1 || !c.want.ended(news[0].Err) || ClassOf(news[0].Err) == ClassRetry {
					t.Errorf("news %+v", news)
				}
			case c.want.lag < 0:
				if len(news) != 0 {
					t.Errorf("news %+v, want none", news)
				}
			default:
				if len(news) != 1 || news[0].Err != nil || news[0].Lag != c.want.lag || (news[0].Batch != nil) != c.want.read || d.tries != 0 {
					t.Errorf("news %+v, tries %d; want lag %d", news, d.tries, c.want.lag)
				}
			}
		})
	}
}

func code(err *kerr.Error) func(p *kmsg.FetchResponseTopicPartition) {
	return func(p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = err.Code }
}

func is(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

// Ends are news as soon as one of them has moved, and replace those that nobody has taken; records are handed out one after the other.
func TestEndsThatMove(t *testing.T) {
	t.Parallel()
	f := bareFetcher(FetcherConfig{})
	d := &feed{tp: TopicPartition{Topic: "t"}, leader: PartitionLeader{1, 0}, replica: noLeader, lastEpoch: -1}
	other := &feed{tp: TopicPartition{Topic: "t", Partition: 1}, leader: PartitionLeader{1, 0}, replica: noLeader, lastEpoch: -1}
	p := kmsg.NewFetchResponseTopicPartition()
	p.HighWatermark, p.LastStableOffset = 3, 0
	for _, step := range []struct {
		name string
		move func()
		news int
	}{
		{"the first", func() {}, 1},
		{"the same", func() {}, 0},
		{"high watermark", func() { p.HighWatermark++ }, 1},
		{"last stable offset", func() { d.position++; p.LastStableOffset++ }, 1}, // the lag is the same
		{"log start", func() { p.LogStartOffset = 1 }, 1},
		{"lag", func() { d.position-- }, 1},
		{"nothing said for long", func() { d.said = d.said.Add(-2 * sayAgain) }, 1},
	} {
		step.move()
		f.takeLocked(d, &p, 1)
		if got := f.Take(nil); len(got) != step.news {
			t.Errorf("%s: news %+v, want %d", step.name, got, step.news)
		}
	}
	for range 3 {
		p.HighWatermark++
		f.takeLocked(d, &p, 1)
	}
	f.takeLocked(other, &p, 1)
	p.HighWatermark++
	f.takeLocked(d, &p, 1)
	f.endLocked(d, errNoTopic)
	p.HighWatermark++
	f.takeLocked(d, &p, 1)
	var ends []int64
	for _, got := range f.Take(nil) {
		ends = append(ends, got.HighWatermark)
	}
	if want := []int64{7, 7, 8, 8, 9}; !slices.Equal(ends, want) {
		t.Errorf("ends %v, want %v", ends, want)
	}
}

// ReadRecord finds a record in what was fetched, knows from a later one that it is gone, and reads on from what ends before it.
func TestFindRecord(t *testing.T) {
	t.Parallel()
	b := recordbatch.NewBuilder(0, 0)
	for _, v := range []string{"seven", "eight"} {
		if err := b.Append(nil, []byte(v), 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	records := b.Finish(recordbatch.NoProducer)
	records[7] = 7 // the base offset, as a broker sets it
	for _, c := range []struct {
		offset int64
		value  string // empty: none
		done   bool
	}{{6, "", true}, {7, "seven", true}, {8, "eight", true}, {9, "", false}} {
		released := 0
		r, err := recordbatch.NewReader(recordbatch.Fetched{Records: records, Released: func() { released++ }})
		if err != nil {
			t.Fatal(err)
		}
		raw, err, done := findRecord(&Fetched{Batch: r}, c.offset)
		if err != nil || done != c.done || (raw != nil) != (c.value != "") || raw != nil && string(raw.Value) != c.value {
			t.Errorf("offset %d: %+v, %v, %v; want %q, %v", c.offset, raw, err, done, c.value, c.done)
		}
		if !done && released != 1 {
			t.Errorf("offset %d: released %d times, and there is more to read", c.offset, released)
		}
	}
	if raw, err, done := findRecord(&Fetched{Lag: 3}, 7); raw != nil || err != nil || done {
		t.Errorf("without records: %+v, %v, %v", raw, err, done)
	}
}
