package group

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestUpgradeKeepsMembers: what a classic member has told of itself is known of it in a KIP-848 group, before and after it joins there.
func TestUpgradeKeepsMembers(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.topics.partitions["t"] = 1
	check := func(rack, client string) {
		t.Helper()
		d, ok := s.c.DescribeConsumer("g")
		if !ok || len(d.Members) != 2 {
			t.Fatalf("%+v", d)
		}
		m := d.Members[0]
		if m.ID != "a" || m.Instance != "i" || m.Rack != rack || m.ClientID != client || m.Host != "/host" || m.Type != Classic || !slices.Equal(m.Names, []string{"t"}) {
			t.Errorf("%+v", m)
		}
	}
	join := s.joinRequest(parse([]string{"g", "new=a", "instance=i", "topics=t", "rack=r"}))
	s.perform(s.c.Join(s.now, &s.topics, 1, join))
	s.command("beat g id=n names=t")
	check("r", "client")
	join = s.joinRequest(parse([]string{"g", "id=a", "instance=i", "topics=t", "rack=q"}))
	join.ClientID = "other"
	s.perform(s.c.Join(s.now, &s.topics, 2, join))
	check("q", "other")
}

// TestProtocolsAreBounded: what the members of a group say of themselves has to fit into one entry of the log, also when it changes its kind.
// Who is there already may say something else in its place.
func TestProtocolsAreBounded(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.topics.partitions["t"] = 1
	const large = maxProtocolBytes / 4
	join := func(size int, words string) *kerr.Error {
		t.Helper()
		r := s.joinRequest(parse(strings.Fields("g topics=t " + words)))
		r.Protocols[0].Metadata = append(r.Protocols[0].Metadata, make([]byte, size-protocolBytes(r.Protocols))...)
		var err *kerr.Error
		e := s.c.Join(s.now, &s.topics, 1, r)
		for _, reply := range e.Replies {
			if reply.Join != nil {
				err = reply.Join.Err
			}
		}
		for _, record := range e.Records { // without a journal, which would keep them all
			if err := s.c.Replay(record); err != nil {
				t.Fatal(err)
			}
		}
		return err
	}
	for i, x := range []struct {
		size int
		join string
		want *kerr.Error
	}{
		{large, "new=a", nil}, {large, "new=b instance=b", nil}, {large, "new=c instance=c", nil}, {large, "new=d instance=d", nil},
		{100, "new=e", kerr.GroupMaxSizeReached}, {large + 1, "id=a", kerr.GroupMaxSizeReached},
		{large, "id=a", nil}, {large, "new=e instance=b", nil}, {large - 100, "id=a", nil}, {100, "new=f instance=f", nil},
	} {
		if err := join(x.size, x.join); err != x.want && err != kerr.RebalanceInProgress {
			t.Errorf("classic %d, %s: %v, want %v", i, x.join, err, x.want)
		}
	}
	s.command("beat g id=n names=t")
	for i, x := range []struct {
		size int
		join string
		want *kerr.Error
	}{
		{100, "new=g", kerr.GroupMaxSizeReached}, {large + 1, "id=a", kerr.GroupMaxSizeReached},
		{large - 100, "id=a", nil}, {large, "new=h instance=c", nil}, {large - 200, "id=a", nil}, {100, "new=g", nil},
	} {
		if err := join(x.size, x.join); err != x.want {
			t.Errorf("mixed %d, %s: %v, want %v", i, x.join, err, x.want)
		}
	}
}

// TestProtocolsAreFew: whoever joins is compared with those that are there, protocol by protocol.
func TestProtocolsAreFew(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	for n, want := range map[int]*kerr.Error{maxProtocols: nil, maxProtocols + 1: kerr.InvalidRequest} {
		r := s.joinRequest(parse([]string{fmt.Sprint("of", n), "new=m"}))
		r.Protocols = slices.Repeat(r.Protocols, n)
		e := s.c.Join(s.now, &s.topics, 1, r)
		if len(e.Replies) != 1 || e.Replies[0].Join.Err != want {
			t.Errorf("%d protocols: %+v, want %v", n, e.Replies, want)
		}
	}
}

// TestMixedGroupIsFull: of members of the classic protocol too; who is there already may join, and come back.
func TestMixedGroupIsFull(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.topics.partitions["t"] = 1
	s.command("beat g id=n names=t")
	k := s.c.groups["g"].consumer
	for i := range maxMembers - 1 {
		k.add(&consumerMember{id: fmt.Sprint(i), instance: fmt.Sprintf("i%d", i), epoch: 1, classic: &classicProtocol{
			session: time.Minute, protocols: []Protocol{{"range", consumerSubscription(parse([]string{"topics=t"}))}},
		}})
	}
	for i, x := range []struct {
		join string
		want *kerr.Error
	}{
		{"new=b", kerr.GroupMaxSizeReached},
		{"new=b instance=other", kerr.GroupMaxSizeReached},
		{"new=b instance=i1", nil},
		{"id=2 instance=i2", nil},
	} {
		e := s.c.Join(s.now, &s.topics, Call(i+1), s.joinRequest(parse(append([]string{"g", "topics=t"}, strings.Fields(x.join)...))))
		if len(e.Replies) != 1 || e.Replies[0].Join.Err != x.want || len(k.members) != maxMembers {
			t.Errorf("%s: %+v with %d members, want %v", x.join, e.Replies, len(k.members), x.want)
		}
	}
}
