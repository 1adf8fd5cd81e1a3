package main

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// request bytes as a client of ours writes them, without the length.
func requestBytes(r kmsg.Request, correlation int32) []byte {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("a client"))
	return f.AppendRequest(nil, r, correlation)
}

func produceFor(txn string, version int16) *kmsg.ProduceRequest {
	r := kmsg.NewPtrProduceRequest()
	r.SetVersion(version)
	if txn != "" {
		r.TransactionID = &txn
	}
	return r
}

func TestParseRequest(t *testing.T) {
	t.Parallel()
	end := kmsg.NewPtrEndTxnRequest()
	end.SetVersion(5)
	end.TransactionalID = "app-1-0"
	oldEnd := kmsg.NewPtrEndTxnRequest()
	oldEnd.SetVersion(1)
	oldEnd.TransactionalID = "app-1-0"
	join := kmsg.NewPtrJoinGroupRequest()
	join.SetVersion(9)
	for _, c := range []struct {
		r    kmsg.Request
		want request
	}{
		{end, request{kmsg.EndTxn, "app-1-0"}},
		{oldEnd, request{kmsg.EndTxn, "app-1-0"}},
		{produceFor("app-1-0", 11), request{kmsg.Produce, "app-1-0"}},
		{produceFor("app-1-0", 8), request{kmsg.Produce, "app-1-0"}},
		{produceFor("", 11), request{kmsg.Produce, ""}},
		{produceFor("", 8), request{kmsg.Produce, ""}},
		{join, request{kmsg.JoinGroup, ""}},
	} {
		frame := requestBytes(c.r, 77)
		got, correlation, ok := parseRequest(frame[4:])
		if !ok || got != c.want || correlation != 77 {
			t.Errorf("%s version %d: %+v, correlation %d, %t", c.want.key.Name(), c.r.GetVersion(), got, correlation, ok)
		}
		for n := range len(frame) - 4 { // what a broken connection leaves
			parseRequest(frame[4 : 4+n])
		}
	}
}

// However the bytes are cut, a frame is told once, at its time.
func TestFrames(t *testing.T) {
	t.Parallel()
	var stream []byte
	for _, n := range []int{0, 3, 4, 5, 1000} {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(n)
		}
		stream = append(binary.BigEndian.AppendUint32(stream, uint32(n)), body...)
	}
	for _, size := range []int{1, 2, 3, 7, len(stream)} {
		var ends, heads []int
		atEnds := frames{keep: 600, at: atEnd, take: func(head []byte) { ends = append(ends, len(head)) }}
		atHeads := frames{keep: 4, at: atHead, take: func(head []byte) { heads = append(heads, int(head[3])) }}
		for b := range slices.Chunk(stream, size) {
			atEnds.feed(b)
			atHeads.feed(b)
		}
		if !slices.Equal(ends, []int{0, 3, 4, 5, 600}) {
			t.Errorf("in pieces of %d: ends %v", size, ends)
		}
		if !slices.Equal(heads, []int{4, 5, 1000 & 0xff}) {
			t.Errorf("in pieces of %d: heads %v", size, heads)
		}
	}
}

// A transaction's phases follow from what passes on the wire, and stand in the file.
func TestWatch(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "status")
	w, err := newWatch(path, "app")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	here, there := net.Pipe()
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	c := newTap(here, w)
	exchange := func(r kmsg.Request, correlation int32, want phase, wantAnswered phase) {
		t.Helper()
		frame := requestBytes(r, correlation)
		go func() {
			_, _ = there.Read(make([]byte, len(frame)))
			_, _ = there.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 4), uint32(correlation)))
		}()
		if _, err := c.Write(frame); err != nil {
			t.Fatal(err)
		}
		if got := readStatus(path).deepest(); got != want {
			t.Errorf("%T sent: %s, want %s", r, got, want)
		}
		if _, err := c.Read(make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
		if got := readStatus(path).deepest(); got != wantAnswered {
			t.Errorf("%T answered: %s, want %s", r, got, wantAnswered)
		}
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.SetVersion(5)
	commit.TransactionalID = "app-1-0"
	end := kmsg.NewPtrEndTxnRequest()
	end.SetVersion(5)
	end.TransactionalID = "app-1-0"
	exchange(produceFor("", 11), 1, idle, idle)
	exchange(produceFor("app-1-0", 11), 2, producing, produced)
	exchange(commit, 3, offsets, offered)
	exchange(end, 4, ending, ended)
	exchange(produceFor("app-1-0", 11), 5, producing, produced)

	w.runs("app", true)
	if s := readStatus(path); !s.Ready || s.Ends != 1 {
		t.Errorf("status %+v", s)
	}
	if s := readStatus(filepath.Join(t.TempDir(), "none")); s.deepest() != idle {
		t.Errorf("status of nobody: %+v", s)
	}
}

// An order is obeyed at its point, once, after as many passes as it says.
func TestOrder(t *testing.T) {
	t.Parallel()
	w, err := newWatch(filepath.Join(t.TempDir(), "status"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	w.obey(order{Act: nothing, Point: "ending", After: 1})
	for i, want := range []int{0, 1, 1} {
		w.enter("a", ending)
		w.enter("a", ended)
		if w.mu.Obeyed != want {
			t.Errorf("pass %d: %d obeyed, want %d", i, w.mu.Obeyed, want)
		}
	}
	if _, err := os.Stat(w.file.Name()); err != nil {
		t.Error(err)
	}
}
