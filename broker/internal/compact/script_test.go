package compact

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/broker/internal/batch"
	"github.com/millrace-io/millrace/broker/internal/scripttest"
)

// TestScripts plays the scripts.
func TestScripts(t *testing.T) {
	scripttest.Run(t, func(t *testing.T) func(string) string {
		s := &script{t: t}
		return func(command string) string { return s.command(strings.Fields(command)) }
	})
}

// script is a log of one partition, with what a shell would keep of it.
type script struct {
	t       *testing.T
	log     [][]byte
	next    int64
	aborted []Aborted
	first   map[int64]int64 // of open transactions, by producer
	last    map[int64]int64 // base offset of each producer's last batch
	cleaned int64
}

// command runs one command. Words are name:value, but for records, which are key=value; without a value they are tombstones,
// and without a key they have none.
func (s *script) command(words []string) string {
	args := map[string]string{}
	var records []batch.Record
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			r := batch.Record{Timestamp: s.next + int64(len(records)), Key: []byte(k), Value: []byte(v)}
			if k == "" {
				r.Key = nil
			}
			if v == "" {
				r.Value = nil
			}
			records = append(records, r)
			continue
		}
		k, v, _ := strings.Cut(w, ":")
		args[k] = v
	}
	switch words[0] {
	case "new":
		*s = script{t: s.t, first: map[int64]int64{}, last: map[int64]int64{}}
		return ""
	case "write":
		s.write(args, records)
		return ""
	case "commit", "abort":
		s.end(s.int(args, "id", -1), words[0] == "commit")
		return ""
	case "forget": // the producer has expired
		delete(s.last, s.int(args, "id", -1))
		return ""
	case "round":
		return s.round(args)
	}
	s.t.Fatalf("unknown command %q", words[0])
	return ""
}

func (s *script) int(args map[string]string, name string, otherwise int64) int64 {
	if args[name] == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(args[name], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *script) write(args map[string]string, records []batch.Record) {
	id := s.int(args, "id", -1)
	_, txn := args["txn"]
	h := batch.Header{BaseOffset: s.next, ProducerID: id, ProducerEpoch: int16(min(id, 0)), BaseSequence: int32(max(-1, min(id, s.next))),
		Attributes: batch.Attrs(txn, false, false)}
	raw := batch.Build(h, records)
	if codec := s.int(args, "codec", 0); codec > 0 {
		var err error
		if raw, err = batch.Compress(raw, batch.Codec(codec)); err != nil {
			s.t.Fatal(err)
		}
	}
	if txn {
		if _, open := s.first[id]; !open {
			s.first[id] = s.next
		}
	}
	if id >= 0 {
		s.last[id] = s.next
	}
	s.log = append(s.log, raw)
	s.next += int64(len(records))
}

func (s *script) end(id int64, commit bool) {
	s.log = append(s.log, batch.AppendMarker(nil, batch.Marker{BaseOffset: s.next, Timestamp: s.next, ProducerID: id, Commit: commit}))
	if first, open := s.first[id]; open && !commit {
		s.aborted = append(s.aborted, Aborted{Producer: id, First: first, Last: s.next})
	}
	delete(s.first, id)
	s.next++
}

// round compacts everything, and prints what is left.
func (s *script) round(args map[string]string) string {
	keys := NewKeys(1000, (int(s.int(args, "keys", 1000))*4/3+1)*slotBytes)
	scan := NewScan(keys, s.aborted, s.cleaned)
	for _, raw := range s.log {
		if h := s.header(raw); h.NextOffset() > s.cleaned && !scan.Batch(raw, &h) {
			break
		}
	}
	f := Filter{Keys: keys, Now: s.int(args, "now", 0), DeleteRetention: s.int(args, "retention", 10),
		Active: func(h *batch.Header) bool { at, ok := s.last[h.ProducerID]; return ok && at == h.BaseOffset }}
	f.Begin(s.aborted)
	var log [][]byte
	var aborted []Aborted
	for i, raw := range s.log {
		h := s.header(raw)
		kept, err := f.Batch(raw, &h, i == len(s.log)-1)
		if err != nil {
			s.t.Fatal(err)
		}
		if kept.Raw != nil {
			log = append(log, kept.Raw)
		}
		if kept.Aborted != nil {
			aborted = append(aborted, *kept.Aborted)
		}
	}
	s.cleaned = keys.Latest + 1
	var out strings.Builder
	for _, raw := range log {
		s.print(&out, raw)
	}
	for _, a := range aborted {
		fmt.Fprintf(&out, "aborted: producer %d in %d-%d\n", a.Producer, a.First, a.Last)
	}
	fmt.Fprintf(&out, "compacted below %d\n", s.cleaned)
	s.log, s.aborted = log, aborted
	return out.String()
}

func (s *script) header(raw []byte) batch.Header {
	h, err := batch.ParseHeader(raw)
	if err == nil {
		err = batch.Verify(raw, &h)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

func (s *script) print(out *strings.Builder, raw []byte) {
	h := s.header(raw)
	fmt.Fprintf(out, "%d-%d", h.BaseOffset, h.LastOffset())
	if h.ProducerID >= 0 {
		fmt.Fprintf(out, " id %d", h.ProducerID)
	}
	if c := h.Attributes.Codec(); c != 0 {
		fmt.Fprintf(out, " codec %d", c)
	}
	if h.Attributes.DeleteHorizon() {
		fmt.Fprintf(out, " until %d", h.BaseTimestamp)
	}
	if commit, ok := batch.ParseMarker(raw, &h); ok {
		fmt.Fprintf(out, " marker, commit %v\n", commit)
		return
	}
	records, err := batch.NewRecords(raw, &h)
	if err != nil {
		s.t.Fatal(err)
	}
	out.WriteString(":")
	for records.Next() {
		r := records.Record()
		fmt.Fprintf(out, " %d %s=%s", r.Offset, r.Key, r.Value)
		if r.Timestamp != r.Offset {
			s.t.Errorf("record %d has time %d", r.Offset, r.Timestamp)
		}
	}
	if records.Err() != nil {
		s.t.Fatal(records.Err())
	}
	if h.Count == 0 {
		out.WriteString(" empty")
	}
	out.WriteString("\n")
}
