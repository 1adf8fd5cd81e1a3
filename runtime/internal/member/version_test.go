package member

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/runtime/internal/assign"
)

// withUserData returns the subscription with other user data.
func withUserData(t *testing.T, s *subscription, user []byte) []byte {
	t.Helper()
	old := s.user.encode()
	b := s.encode()
	at := bytes.Index(b, old) - 4
	if at < 0 {
		t.Fatal("no user data")
	}
	out := appendBytes(slices.Clone(b[:at]), user)
	return append(out, b[at+4+len(old):]...)
}

// userDataOfVersion is what a member of a version wrote, or will write: version 1 ends after the previous tasks, 9 has more.
func userDataOfVersion(version byte) []byte {
	b := appendText([]byte{version}, "i")
	b = binary.AppendUvarint(b, 2)
	b = binary.BigEndian.AppendUint64(b, 77)
	b = appendTasks(b, []assign.Task{{Partition: 1}})
	b = appendTasks(b, []assign.Task{{Partition: 2}})
	if version >= 2 {
		b = append(b, 6) // lag 5
		b = append(b, 0) // no tags
		b = appendText(b, "host:1")
	}
	if version > userDataVersion {
		b = append(b, "what nobody knows yet"...)
	}
	return b
}

// Members of an older, this and a newer version read each other, and the leader answers in the lowest version.
func TestVersions(t *testing.T) {
	t.Parallel()
	read := func(version byte) memberState {
		s := subscription{topics: []string{"t"}, generation: 4}
		got, err := decodeSubscription(withUserData(t, &s, userDataOfVersion(version)))
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		u := got.user
		if u.version != version || u.capacity != 2 || u.fingerprint != 77 || len(u.owned) != 1 || len(u.previous) != 1 || got.generation != 4 {
			t.Errorf("version %d: %+v", version, got)
		}
		if lag, ok := u.lags[assign.Task{Partition: 2}]; ok != (version >= 2) || ok && (lag != 5 || u.endpoint != "host:1") {
			t.Errorf("version %d: lags %v, endpoint %q", version, u.lags, u.endpoint)
		}
		return memberState{id: string('a' + rune(version)), subscription: got}
	}
	if _, err := decodeSubscription(withUserData(t, &subscription{}, userDataOfVersion(0))); err == nil {
		t.Error("version 0 was read")
	}
	specs := []TaskInputs{{Task: assign.Task{}, Stateful: true, Records: 1 << 20}, {Task: assign.Task{Partition: 1}, Stateful: true, Records: 1 << 20}}
	r := &runner{Member: &Member{log: slog.New(slog.NewTextHandler(io.Discard, nil)), cfg: Config{
		Group: "g", Assign: assign.Config{Standbys: 1},
		Plan: func(context.Context, []Info) ([]TaskInputs, error) { return specs, nil },
	}}, ctx: t.Context()}
	for _, c := range []struct {
		members []byte
		common  byte
	}{{[]byte{1, 2}, 1}, {[]byte{2, 9}, 2}, {[]byte{9, 1, 2}, 1}} {
		var members []memberState
		for _, v := range c.members {
			members = append(members, read(v))
		}
		told, _, err := r.plan(members)
		if err != nil {
			t.Fatal(err)
		}
		for id, b := range told {
			a, err := decodeAssignment(b)
			if err != nil {
				t.Fatal(err)
			}
			v := (&reader{src: b[2+4:]}) // partitions are none
			if user := v.bytes(); user[0] != c.common {
				t.Errorf("versions %v: %s is answered in version %d, want %d", c.members, id, user[0], c.common)
			}
			if c.common == 1 && !reflect.DeepEqual(a.copies, copies{}) || c.common == 2 && len(a.hosts) != 2 {
				t.Errorf("versions %v: %s is told %+v", c.members, id, a.copies)
			}
		}
	}
}

// A leader whose plan has warm-ups rebalances after the interval; a follower does not, nor does one whose next plan has none.
func TestProbing(t *testing.T) {
	t.Parallel()
	c := newCore(time.Second, nil)
	now := time.Unix(0, 0)
	round := func(leader bool, probe time.Duration) {
		t.Helper()
		c.step(now, event{kind: evTick})
		c.step(now, event{kind: evGateClosed, gate: c.gates})
		c.step(now, event{kind: evJoined, verdict: fine, memberID: "m", generation: c.generation + 1, leader: leader})
		if leader {
			c.step(now, event{kind: evPlanned, generation: c.generation, probe: probe})
		}
		warm := []assign.Task{{Partition: 3}}
		c.step(now, event{kind: evSynced, verdict: fine, generation: c.generation, copies: copies{warmup: warm}})
		if c.state != stable || !slices.Equal(c.copies.warmup, warm) {
			t.Fatalf("state %v, copies %+v", c.state, c.copies)
		}
	}
	later := func(d time.Duration) state {
		now = now.Add(d)
		c.step(now, event{kind: evTick})
		c.step(now, event{kind: evHeartbeat, verdict: fine, generation: c.generation, memberID: c.memberID})
		return c.state
	}
	round(true, time.Minute)
	if s := later(time.Minute - time.Second); s != stable {
		t.Fatalf("too early: %v", s)
	}
	if s := later(time.Second); s != waiting {
		t.Fatalf("after the interval: %v", s)
	}
	round(true, 0)
	if s := later(time.Hour); s != stable {
		t.Fatalf("without warm-ups: %v", s)
	}
	c.step(now, event{kind: evRejoin, reason: "test"})
	round(false, 0)
	if s := later(time.Hour); s != stable {
		t.Fatalf("a follower: %v", s)
	}
}
