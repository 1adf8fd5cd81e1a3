package txn

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/broker/internal/fields"
	"github.com/millrace-io/millrace/broker/internal/scripttest"
)

// TestScripts plays the scripts. Output is indented; producers are written id.epoch.
func TestScripts(t *testing.T) {
	scripttest.Run(t, func(t *testing.T) func(string) string {
		s := &script{t: t, c: New(), now: time.UnixMilli(1_000_000)}
		return func(command string) string {
			s.out.Reset()
			s.command(strings.Fields(command))
			s.checkJournal()
			return s.out.String()
		}
	})
}

// script is the shell of a script: it replays records as the real one does, and prints what happens.
type script struct {
	t       *testing.T
	c       *Coordinator
	now     time.Time
	journal [][]byte
	out     strings.Builder
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, "  "+format+"\n", args...) }

// checkJournal checks that the records so far rebuild the state, as does a snapshot.
func (s *script) checkJournal() {
	s.t.Helper()
	for _, records := range [][][]byte{s.journal, snapshot(s.t, s.c)} {
		if a, b := snapshot(s.t, s.c), snapshot(s.t, replayed(s.t, records)); !slices.EqualFunc(a, b, bytes.Equal) {
			s.t.Errorf("another state after replay:\nlive     %q\nreplayed %q", a, b)
		}
	}
}

func replayed(t testing.TB, records [][]byte) *Coordinator {
	t.Helper()
	c := New()
	for _, r := range records {
		if err := c.Replay(r); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func snapshot(t testing.TB, c *Coordinator) (out [][]byte) {
	t.Helper()
	if err := c.Snapshot(func(r []byte) error { out = append(out, bytes.Clone(r)); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func parseProducer(s string) Producer {
	id, epoch, _ := strings.Cut(s, ".")
	i, _ := strconv.ParseInt(id, 10, 64)
	e, _ := strconv.ParseInt(epoch, 10, 16)
	return Producer{i, int16(e)}
}

func (p Producer) String() string { return fmt.Sprintf("%d.%d", p.ID, p.Epoch) }

func (s *script) command(f []string) {
	option := func(name, fallback string) string {
		for _, w := range f {
			if v, ok := strings.CutPrefix(w, name+"="); ok {
				return v
			}
		}
		return fallback
	}
	switch f[0] {
	case "init":
		r := InitRequest{Producer: noProducer}
		if len(f) > 1 {
			id := strings.Trim(f[1], `"`)
			r.TransactionalID = &id
		}
		if p := option("from", ""); p != "" {
			r.Producer = parseProducer(p)
		}
		r.Timeout, _ = time.ParseDuration(option("timeout", "60s"))
		p, e, err := s.c.Init(s.now, r)
		s.result(p, err)
		s.perform(e)
	case "add":
		var partitions []Partition
		for _, w := range f[3:] {
			n, _ := strconv.Atoi(w)
			partitions = append(partitions, Partition{[16]byte{1}, int32(n)})
		}
		e, err := s.c.AddPartitions(s.now, f[1], parseProducer(f[2]), partitions)
		s.printf("%s", errName(err))
		s.perform(e)
	case "has":
		n, _ := strconv.Atoi(f[3])
		has, err := s.c.Has(f[1], parseProducer(f[2]), Partition{[16]byte{1}, int32(n)})
		s.printf("%v %s", has, errName(err))
	case "offsets":
		e, err := s.c.AddOffsets(s.now, f[1], parseProducer(f[2]), f[3])
		s.printf("%s", errName(err))
		s.perform(e)
	case "has-offsets":
		s.printf("%s", errName(s.c.HasOffsets(f[1], parseProducer(f[2]), f[3])))
	case "state":
		d, _ := s.c.Describe(f[1])
		s.printf("%s, %v", d.State, d.Producer)
	case "commit", "abort", "commit5", "abort5":
		p, e, err := s.c.End(s.now, EndRequest{
			ID: f[1], Producer: parseProducer(f[2]), Commit: strings.HasPrefix(f[0], "commit"), Bump: strings.HasSuffix(f[0], "5"),
		})
		s.result(p, err)
		s.perform(e)
	case "exhaust": // nearly
		t := *s.c.transactions[f[1]]
		t.producer.Epoch = lastEpoch - 1
		s.perform(Effects{Records: [][]byte{t.record()}})
	case "expire":
		idle, err := time.ParseDuration(f[1])
		if err != nil {
			s.t.Fatal(err)
		}
		records, _ := s.c.Expire(s.now, idle)
		s.perform(Effects{Records: records})
	case "wait":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.wait(s.now.Add(d))
	case "restart":
		s.journal = snapshot(s.t, s.c)
		s.c = replayed(s.t, s.journal)
	default:
		s.t.Fatalf("unknown command %q", f)
	}
}

func (s *script) wait(end time.Time) {
	for {
		at, ok := s.c.Next()
		if !ok || at.After(end) {
			s.now = end
			return
		}
		s.now = at
		s.perform(s.c.Tick(at))
	}
}

func (s *script) result(p Producer, err *kerr.Error) {
	if err != nil {
		s.printf("%s", errName(err))
		return
	}
	s.printf("%v", p)
}

func (s *script) perform(e Effects) {
	for _, r := range e.Records {
		if r[0] == recordReserve {
			s.printf("reserves producer ids below %d", fields.NewDecoder(r[1:]).Int())
		}
		if r[0] == recordExpire {
			s.printf("forgets %s", fields.NewDecoder(r[1:]).String())
		}
	}
	for _, p := range e.Begin {
		s.printf("begins %v on %d", e.Producer, p.Index)
	}
	for _, end := range e.Ends {
		var on []int32
		for _, p := range end.Partitions {
			on = append(on, p.Index)
		}
		s.printf("ends %v, commit %v, markers on %v", end.Producer, end.Commit, on)
	}
	for _, r := range e.Records {
		s.journal = append(s.journal, bytes.Clone(r))
		if err := s.c.Replay(r); err != nil {
			s.t.Fatal(err)
		}
	}
}

func errName(err *kerr.Error) string {
	if err == nil {
		return "ok"
	}
	return err.Message
}

// FuzzReplay feeds damaged records: they are refused without a panic, and what is taken can be written and read again.
func FuzzReplay(f *testing.F) {
	t := transaction{id: "tx", producer: Producer{1, 2}, previous: noProducer, timeout: time.Second, ended: noEnd}
	f.Add(t.record(), encodeAdd("tx", 5, []Partition{{[16]byte{1}, 2}}, "g"))
	f.Add(encodeReserve(1000), t.record())
	f.Add(t.record(), encodeExpire("tx"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		c := New()
		if c.Replay(a) != nil || c.Replay(b) != nil {
			return
		}
		if again := replayed(t, snapshot(t, c)); !slices.EqualFunc(snapshot(t, c), snapshot(t, again), bytes.Equal) {
			t.Error("the snapshot rebuilds another state")
		}
		c.Tick(time.UnixMilli(0))
	})
}

// TestFirstStateVersion: a record that does not say when the id was used is one of an id that is used now.
func TestFirstStateVersion(t *testing.T) {
	old := transaction{id: "tx", producer: Producer{1, 2}, previous: noProducer, timeout: time.Second, ended: noEnd}
	record := old.record()
	record[1], record = stateV1, record[:len(record)-1]
	c, now := replayed(t, [][]byte{record}), time.UnixMilli(1_000_000)
	c.Recovered(now)
	if r, _ := c.Expire(now.Add(time.Hour-1), time.Hour); len(r) != 0 {
		t.Errorf("%d expire too early", len(r))
	}
	if r, more := c.Expire(now.Add(time.Hour), time.Hour); len(r) != 1 || more {
		t.Errorf("%d expire", len(r))
	}
	if p, _, err := c.Init(now, InitRequest{TransactionalID: &old.id, Timeout: time.Second, Producer: noProducer}); err != nil || p != (Producer{1, 3}) {
		t.Errorf("%v, %v", p, err)
	}
}

func TestHasAllocatesNothing(t *testing.T) {
	c := New()
	id := "tx"
	p, e, _ := c.Init(time.UnixMilli(0), InitRequest{TransactionalID: &id, Timeout: time.Second, Producer: noProducer})
	tp := Partition{[16]byte{1}, 2}
	for _, r := range e.Records {
		if err := c.Replay(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Replay(encodeAdd(id, 5, []Partition{tp}, "")); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if has, err := c.Has(id, p, tp); !has || err != nil {
			t.Error(has, err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
