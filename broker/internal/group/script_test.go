package group

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

// TestScripts plays the scripts. Output is indented; times are since the start of the script.
func TestScripts(t *testing.T) {
	scripttest.Run(t, func(t *testing.T) func(string) string {
		s := newScript(t)
		return func(command string) string {
			s.out.Reset()
			s.command(command)
			s.checkJournal()
			return s.out.String()
		}
	})
}

// script is the shell of a script: it performs effects as the real one does, and prints them.
type script struct {
	t       *testing.T
	c       *Coordinator
	start   time.Time
	now     time.Time
	journal [][]byte
	topics  scriptTopics
	out     strings.Builder
}

func newScript(t *testing.T) *script {
	start := time.UnixMilli(1_000_000)
	return &script{t: t, c: New(Config{}), start: start, now: start, topics: scriptTopics{version: 1, partitions: map[string]int32{}}}
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, "  "+format+"\n", args...) }

// checkJournal checks G1: the records so far rebuild the state, as does a snapshot.
func (s *script) checkJournal() {
	s.t.Helper()
	replayed := New(Config{})
	for _, r := range s.journal {
		if err := replayed.Replay(r); err != nil {
			s.t.Fatal(err)
		}
	}
	if a, b := snapshot(s.t, s.c), snapshot(s.t, replayed); !slices.EqualFunc(a, b, bytes.Equal) {
		s.t.Errorf("the journal rebuilds another state:\nlive     %q\nreplayed %q", a, b)
	}
	restored := New(Config{})
	for _, r := range snapshot(s.t, s.c) {
		if err := restored.Replay(r); err != nil {
			s.t.Fatal(err)
		}
	}
	if a, b := snapshot(s.t, s.c), snapshot(s.t, restored); !slices.EqualFunc(a, b, bytes.Equal) {
		s.t.Errorf("the snapshot rebuilds another state:\nlive     %q\nrestored %q", a, b)
	}
}

func snapshot(t testing.TB, c *Coordinator) (out [][]byte) {
	t.Helper()
	if err := c.Snapshot(func(r []byte) error { out = append(out, bytes.Clone(r)); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// args are the arguments of a command: words, and values by name.
type args struct {
	words []string
	named map[string]string
}

func parse(words []string) args {
	a := args{named: make(map[string]string)}
	for _, f := range words {
		if k, v, ok := strings.Cut(f, "="); ok && !strings.Contains(k, "/") {
			a.named[k] = v
		} else {
			a.words = append(a.words, f)
		}
	}
	return a
}

func (a args) word(i int) string {
	if i < len(a.words) {
		return a.words[i]
	}
	return ""
}
func (a args) has(word string) bool { return slices.Contains(a.words, word) }
func (a args) int(name string, fallback int) int {
	if v, err := strconv.Atoi(a.named[name]); err == nil {
		return v
	}
	return fallback
}
func (a args) duration(name string, fallback time.Duration) time.Duration {
	if v, err := time.ParseDuration(a.named[name]); err == nil {
		return v
	}
	return fallback
}

func (s *script) command(line string) {
	words := strings.Fields(line)
	a := parse(words[1:])
	switch words[0] {
	case "join":
		s.perform(s.c.Join(s.now, &s.topics, Call(a.int("call", 0)), s.joinRequest(a)))
	case "sync":
		r := SyncRequest{Group: a.word(0), MemberID: a.named["id"], InstanceID: a.named["instance"], Generation: int32(a.int("gen", 0)), Assignments: map[string][]byte{}}
		for id, v := range pairs(a.named["assign"]) {
			r.Assignments[id] = []byte(v)
		}
		s.consumerAssignments(a, r.Assignments)
		if p, ok := a.named["protocol"]; ok {
			r.Protocol = &p
		}
		s.perform(s.c.Sync(s.now, &s.topics, Call(a.int("call", 0)), r))
	case "heartbeat":
		e, err := s.c.Heartbeat(s.now, &s.topics, HeartbeatRequest{Group: a.word(0), MemberID: a.named["id"], InstanceID: a.named["instance"], Generation: int32(a.int("gen", 0))})
		s.perform(e)
		s.printf("%s", errName(err))
	case "leave":
		e, results, err := s.c.Leave(s.now, &s.topics, a.word(0), []LeaveMember{{MemberID: a.named["id"], InstanceID: a.named["instance"]}})
		for _, r := range append(results, err)[:1] {
			s.printf("%s", errName(r))
		}
		s.perform(e)
	case "commit", "stage":
		s.commit(words[0], a)
	case "end":
		producer, _ := strconv.ParseInt(a.word(0), 10, 64)
		s.replay(s.c.EndTransaction(producer, a.has("commit")))
	case "forget":
		s.replay(s.c.ForgetTopic(topicNamed(a.word(0))))
	case "fetch":
		s.fetch(a)
	case "wait":
		d, err := time.ParseDuration(a.word(0))
		if err != nil {
			s.t.Fatal(err)
		}
		s.wait(s.now.Add(d))
	case "restart":
		records := snapshot(s.t, s.c)
		s.c = New(s.c.config)
		for _, r := range records {
			if err := s.c.Replay(r); err != nil {
				s.t.Fatal(err)
			}
		}
		s.c.Recovered(s.now)
	case "groups":
		s.groups()
	case "topic", "beat", "describe", "admin", "policy":
		s.consumerCommand(words[0], a)
	default:
		s.t.Fatalf("unknown command %q", line)
	}
}

func (s *script) joinRequest(a args) JoinRequest {
	r := JoinRequest{
		Group: a.word(0), MemberID: a.named["id"], InstanceID: a.named["instance"], NewMemberID: a.named["new"],
		ClientID: "client", Host: "/host", ProtocolType: "consumer",
		SessionTimeout: a.duration("session", 10*time.Second), RebalanceTimeout: a.duration("rebalance", time.Minute),
		RequireMemberID: a.has("require"), SkipAssignment: a.has("skip"),
	}
	if v, ok := a.named["type"]; ok {
		r.ProtocolType = v
	}
	protocols := "range:x"
	if v, ok := a.named["protocols"]; ok {
		protocols = v
	}
	for _, p := range strings.Split(protocols, ",") {
		if name, metadata, ok := strings.Cut(p, ":"); ok {
			r.Protocols = append(r.Protocols, Protocol{name, []byte(metadata)})
		}
	}
	if _, ok := a.named["topics"]; ok {
		for i := range r.Protocols {
			r.Protocols[i].Metadata = consumerSubscription(a)
		}
	}
	return r
}

func pairs(s string) map[string]string {
	m := make(map[string]string)
	for _, p := range strings.Split(s, ",") {
		if k, v, ok := strings.Cut(p, ":"); ok {
			m[k] = v
		}
	}
	return m
}

func topicNamed(name string) (id TopicID) { copy(id[:], name); return id }

func partitionNamed(s string) Partition {
	topic, index, _ := strings.Cut(s, "/")
	n, _ := strconv.Atoi(index)
	return Partition{topicNamed(topic), int32(n)}
}

func (p Partition) name() string {
	return fmt.Sprintf("%s/%d", bytes.TrimRight(p.Topic[:], "\x00"), p.Index)
}

func (s *script) commit(command string, a args) {
	r := CommitRequest{MemberID: a.named["id"], InstanceID: a.named["instance"], Generation: int32(a.int("gen", -1)), MemberEpochs: a.has("v9")}
	var record []byte
	var results []*kerr.Error
	var words []string
	if command == "stage" {
		words = a.words[1:]
	} else {
		words = a.words
	}
	r.Group = words[0]
	for _, w := range words[1:] {
		tp, at, ok := strings.Cut(w, "=")
		if !ok {
			continue // an option
		}
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		metadata := strings.Repeat("m", a.int("metadata", 0))
		r.Offsets = append(r.Offsets, Offset{Partition: partitionNamed(tp), At: n, LeaderEpoch: 0, Metadata: metadata})
	}
	if command == "stage" {
		producer, _ := strconv.ParseInt(a.word(0), 10, 64)
		record, results = s.c.StageOffsets(s.now, producer, r)
	} else {
		record, results = s.c.CommitOffsets(s.now, r)
	}
	for i, err := range results {
		s.printf("%s %s", r.Offsets[i].name(), errName(err))
	}
	s.replay(record)
}

func (s *script) fetch(a args) {
	var partitions []Partition
	for _, w := range a.words[1:] {
		if strings.Contains(w, "/") {
			partitions = append(partitions, partitionNamed(w))
		}
	}
	if id, ok := a.named["id"]; ok {
		if err := s.c.MayFetch(a.word(0), &id, int32(a.int("epoch", -1))); err != nil {
			s.printf("%s", errName(err))
			return
		}
	}
	for _, f := range s.c.FetchOffsets(a.word(0), partitions, a.has("stable")) {
		if f.Err != nil {
			s.printf("%s %s", f.name(), errName(f.Err))
		} else {
			s.printf("%s %d", f.name(), f.At)
		}
	}
}

// wait lets time pass until end, with every tick at its time.
func (s *script) wait(end time.Time) {
	for {
		at, ok := s.c.Next()
		if !ok || at.After(end) {
			s.now = end
			return
		}
		s.now = at
		if e := s.c.Tick(at, &s.topics); len(e.Records)+len(e.Replies) > 0 {
			s.printf("at %v", at.Sub(s.start))
			s.perform(e)
		}
	}
}

func (s *script) replay(record []byte) {
	if record != nil {
		s.perform(Effects{Records: [][]byte{record}})
	}
}

// perform replays records, and prints all effects.
func (s *script) perform(e Effects) {
	s.t.Helper()
	before := memory(s.c)
	for _, r := range e.Records {
		s.journal = append(s.journal, bytes.Clone(r))
		if err := s.c.Replay(r); err != nil {
			s.t.Fatal(err)
		}
		if r[0] == recordGeneration {
			g := decodeGeneration(fields.NewDecoder(r[1:]))
			s.printf("record: %s generation %d %v, members %s", g.name, g.generation, g.state, memberIDs(g))
		}
		s.printConsumerRecord(r)
	}
	after := memory(s.c)
	for name, was := range before { // G1
		if now := after[name]; now != was {
			s.t.Errorf("records, replayed into the group that made them, change what it waits for:\nwas %s\nis  %s", was, now)
		}
	}
	for _, r := range e.Replies {
		switch {
		case r.Join != nil && r.Join.Err != nil:
			s.printf("call %d: %s %s", r.Call, errName(r.Join.Err), r.Join.MemberID)
		case r.Join != nil:
			var members []string
			for _, m := range r.Join.Members {
				members = append(members, fmt.Sprintf("%s:%s", m.ID, readable(m.Metadata)))
			}
			skip := ""
			if r.Join.SkipAssignment {
				skip = " skip-assignment"
			}
			s.printf("call %d: joined as %s, generation %d, %s, leader %s, members %v%s", r.Call, r.Join.MemberID, r.Join.Generation, r.Join.Protocol, r.Join.Leader, members, skip)
		case r.Sync.Err != nil:
			s.printf("call %d: %s", r.Call, errName(r.Sync.Err))
		default:
			s.printf("call %d: assigned %s", r.Call, readableAssignment(r.Sync.Assignment))
		}
	}
}

func memberIDs(g *group) []string {
	ids := []string{}
	for _, m := range g.ordered() {
		ids = append(ids, m.id)
	}
	return ids
}

func (s *script) groups() {
	for _, name := range sortedKeys(s.c.groups) {
		g := s.c.groups[name]
		s.printf("%s %v generation %d leader %q", name, g.state, g.generation, g.leader)
		for _, m := range g.ordered() {
			waits := ""
			if m.joining != 0 {
				waits = fmt.Sprintf(" joining by call %d", m.joining)
			}
			if m.syncing != 0 {
				waits = fmt.Sprintf(" syncing by call %d", m.syncing)
			}
			s.printf("  %s %s%s", m.id, readableAssignment(m.assignment), waits)
		}
	}
}

func errName(err *kerr.Error) string {
	if err == nil {
		return "ok"
	}
	return err.Message
}

// memory is what groups have in memory only (G2): who waits, and until when.
func memory(c *Coordinator) map[string]string {
	all := map[string]string{}
	for name, g := range c.groups {
		b := fmt.Appendf(nil, "%s: rebalance %v, sync %v of %v, promised %v", name, g.rebalanceDead, g.syncDead, g.unsynced, g.promised)
		for _, m := range g.ordered() {
			b = fmt.Appendf(b, ", %s: join %d, sync %d, %v", m.id, m.joining, m.syncing, m.deadline)
		}
		if g.consumer != nil {
			for _, id := range sortedKeys(g.consumer.members) {
				b = fmt.Appendf(b, ", %s:", id)
				g.consumer.members[id].deadlines(func(t time.Time) { b = fmt.Appendf(b, " %v", t) })
			}
		}
		all[name] = string(b)
	}
	return all
}
