package access

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	read     = kmsg.ACLOperationRead
	write    = kmsg.ACLOperationWrite
	describe = kmsg.ACLOperationDescribe
	all      = kmsg.ACLOperationAll
	allow    = kmsg.ACLPermissionTypeAllow
	deny     = kmsg.ACLPermissionTypeDeny
	literal  = kmsg.ACLResourcePatternTypeLiteral
	prefixed = kmsg.ACLResourcePatternTypePrefixed
	topic    = kmsg.ACLResourceTypeTopic
)

func binding(name string, pattern kmsg.ACLResourcePatternType, principal string, op kmsg.ACLOperation, permission kmsg.ACLPermissionType) Binding {
	return Binding{Resource: topic, Name: name, Pattern: pattern, Principal: principal, Host: "*", Operation: op, Permission: permission}
}

func rulesOf(bindings ...Binding) *Rules {
	set := map[Binding]struct{}{}
	for _, b := range bindings {
		set[b] = struct{}{}
	}
	return newRules(set)
}

func TestAsk(t *testing.T) {
	t.Parallel()
	onlyHost := binding("t", literal, "User:a", read, allow)
	onlyHost.Host = "10.0.0.1"
	group := binding("t", literal, "User:a", read, allow)
	group.Resource = kmsg.ACLResourceTypeGroup
	for name, c := range map[string]struct {
		rules *Rules
		op    kmsg.ACLOperation
		want  Verdict
	}{
		"nothing":                     {rulesOf(), read, Unknown},
		"another resource type":       {rulesOf(group), read, Unknown},
		"another topic":               {rulesOf(binding("u", literal, "User:a", read, allow)), read, Unknown},
		"literal":                     {rulesOf(binding("t", literal, "User:a", read, allow)), read, Allowed},
		"another user's":              {rulesOf(binding("t", literal, "User:b", read, allow)), read, Denied},
		"everybody's":                 {rulesOf(binding("t", literal, "User:*", read, allow)), read, Allowed},
		"any topic":                   {rulesOf(binding("*", literal, "User:a", read, allow)), read, Allowed},
		"another operation":           {rulesOf(binding("t", literal, "User:a", write, allow)), read, Denied},
		"all operations":              {rulesOf(binding("t", literal, "User:a", all, allow)), read, Allowed},
		"describe by read":            {rulesOf(binding("t", literal, "User:a", read, allow)), describe, Allowed},
		"read by describe":            {rulesOf(binding("t", literal, "User:a", describe, allow)), read, Denied},
		"describe, read denied":       {rulesOf(binding("t", literal, "User:a", write, allow), binding("t", literal, "User:a", read, deny)), describe, Allowed},
		"denied":                      {rulesOf(binding("t", literal, "User:a", read, allow), binding("t", literal, "User:a", read, deny)), read, Denied},
		"denied by the wildcard":      {rulesOf(binding("t", literal, "User:a", read, allow), binding("*", literal, "User:*", all, deny)), read, Denied},
		"denied by a prefix":          {rulesOf(binding("*", literal, "User:a", read, allow), binding("t", prefixed, "User:a", read, deny)), read, Denied},
		"prefix":                      {rulesOf(binding("t", prefixed, "User:a", read, allow)), read, Allowed},
		"longer prefix":               {rulesOf(binding("to", prefixed, "User:a", read, allow)), read, Unknown},
		"another host's":              {rulesOf(onlyHost), read, Denied},
		"a prefix that is called *":   {rulesOf(binding("*", prefixed, "User:a", read, allow)), read, Unknown},
		"configs by altering configs": {rulesOf(binding("t", literal, "User:a", kmsg.ACLOperationAlterConfigs, allow)), kmsg.ACLOperationDescribeConfigs, Allowed},
	} {
		if got := c.rules.Ask(Question{Principal: "User:a", Host: "10.0.0.2", Operation: c.op, Resource: topic, Name: "t"}); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestAskAny(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules *Rules
		want  Verdict
	}{
		"nothing":                         {rulesOf(), Unknown},
		"one topic":                       {rulesOf(binding("t", literal, "User:a", write, allow)), Allowed},
		"another user's":                  {rulesOf(binding("t", literal, "User:b", write, allow)), Denied},
		"the same topic denied":           {rulesOf(binding("t", literal, "User:a", write, allow), binding("t", literal, "User:a", write, deny)), Denied},
		"all denied":                      {rulesOf(binding("t", literal, "User:a", write, allow), binding("*", literal, "User:a", all, deny)), Denied},
		"the prefix denied":               {rulesOf(binding("topic", literal, "User:a", write, allow), binding("to", prefixed, "User:a", write, deny)), Denied},
		"a prefix within a denied prefix": {rulesOf(binding("topic", prefixed, "User:a", write, allow), binding("to", prefixed, "User:a", write, deny)), Denied},
		"a wider prefix than denied":      {rulesOf(binding("to", prefixed, "User:a", write, allow), binding("topic", prefixed, "User:a", write, deny)), Allowed},
		"all but one topic":               {rulesOf(binding("*", literal, "User:a", write, allow), binding("t", literal, "User:a", write, deny)), Allowed},
	} {
		if got := c.rules.AskAny(Question{Principal: "User:a", Host: "h", Operation: write, Resource: topic}); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// plainAsk is Ask, said in the simplest way.
func plainAsk(bindings []Binding, q Question) Verdict {
	v := Unknown
	for _, b := range bindings {
		if b.Resource != q.Resource || !b.covers(q.Name) {
			continue
		}
		if v == Unknown {
			v = Denied // until somebody allows it
		}
		if !b.isFor(q.Principal, q.Host) {
			continue
		}
		if b.Permission == deny && (b.Operation == all || b.Operation == q.Operation) {
			return Denied
		}
		if b.Permission == allow && b.allows(q.Operation) {
			v = Allowed
		}
	}
	return v
}

// TestBindingsAtRandom adds and removes bindings, and compares the answers, the filters and what a restart finds with a plain list
// (GHSA-79vv-vp32-gpp7: one removed of several lost the others).
func TestBindingsAtRandom(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[rng.IntN(len(of))] }
	random := func() Binding {
		return Binding{
			Resource: []kmsg.ACLResourceType{topic, kmsg.ACLResourceTypeGroup}[rng.IntN(2)], Name: pick("a", "ab", "abc", "b", "*"),
			Pattern: []kmsg.ACLResourcePatternType{literal, prefixed}[rng.IntN(2)], Principal: pick("User:x", "User:y", "User:*"),
			Host: pick("h", "*"), Operation: []kmsg.ACLOperation{read, write, all, describe}[rng.IntN(4)],
			Permission: []kmsg.ACLPermissionType{allow, allow, deny}[rng.IntN(3)],
		}
	}
	s, model := New(), []Binding{}
	for i := range 6000 {
		b := random()
		at := slices.Index(model, b)
		var change []byte
		if rng.IntN(100) < 45 {
			if change = s.Remove(b); at >= 0 {
				model = slices.Delete(model, at, at+1)
			}
		} else {
			var err error
			if change, err = s.Draft().Add(b); err != nil {
				t.Fatal(err)
			}
			if at < 0 {
				model = append(model, b)
			}
		}
		if change != nil {
			if err := s.Replay(change); err != nil {
				t.Fatal(err)
			}
		}
		if i%5 > 0 {
			continue
		}
		s.Refresh()
		q := Question{Principal: pick("User:x", "User:z"), Host: pick("h", "i"), Operation: []kmsg.ACLOperation{read, write, describe}[rng.IntN(3)],
			Resource: topic, Name: pick("a", "ab", "abcd", "c", "*")}
		if got, want := s.Rules().Ask(q), plainAsk(model, q); got != want {
			t.Fatalf("step %d: %+v: %d, want %d, of\n%v", i, q, got, want, model)
		}
	}
	everything := Filter{Resource: kmsg.ACLResourceTypeAny, Pattern: kmsg.ACLResourcePatternTypeAny, Operation: kmsg.ACLOperationAny, Permission: kmsg.ACLPermissionTypeAny}
	slices.SortFunc(model, compareBindings)
	if got := s.Matching(everything); !slices.Equal(got, model) {
		t.Errorf("%d bindings, want %d", len(got), len(model))
	}
	again := New()
	if err := s.Snapshot(again.Replay); err != nil {
		t.Fatal(err)
	}
	if got := again.Matching(everything); !slices.Equal(got, model) {
		t.Errorf("%d bindings after a restart, want %d", len(got), len(model))
	}
}

// TestImpliedOperations: who may read, write, delete or alter may describe; nothing else follows from anything but ALL.
func TestImpliedOperations(t *testing.T) {
	t.Parallel()
	implied := map[[2]kmsg.ACLOperation]bool{
		{read, kmsg.ACLOperationDescribe}: true, {write, kmsg.ACLOperationDescribe}: true,
		{kmsg.ACLOperationDelete, kmsg.ACLOperationDescribe}: true, {kmsg.ACLOperationAlter, kmsg.ACLOperationDescribe}: true,
		{kmsg.ACLOperationAlterConfigs, kmsg.ACLOperationDescribeConfigs}: true,
	}
	for granted := all; granted <= kmsg.ACLOperationDescribeTokens; granted++ {
		for asked := read; asked <= kmsg.ACLOperationDescribeTokens; asked++ {
			rules := rulesOf(binding("t", literal, "User:a", granted, allow))
			v := rules.Ask(Question{Principal: "User:a", Host: "h", Operation: asked, Resource: topic, Name: "t"})
			if want := granted == all || granted == asked || implied[[2]kmsg.ACLOperation{granted, asked}]; (v == Allowed) != want {
				t.Errorf("%v granted, %v asked: %v", granted, asked, v)
			}
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	bindings := []Binding{binding("ab", literal, "User:a", read, allow), binding("a", prefixed, "User:b", write, deny), binding("*", literal, "User:a", all, allow)}
	name := func(s string) *string { return &s }
	for i, c := range []struct {
		f    Filter
		want []int
	}{
		{Filter{Resource: topic, Pattern: kmsg.ACLResourcePatternTypeMatch, Name: name("ab"), Operation: 1, Permission: 1}, []int{0, 1, 2}},
		{Filter{Resource: topic, Pattern: kmsg.ACLResourcePatternTypeMatch, Name: name("ac"), Operation: 1, Permission: 1}, []int{1, 2}},
		{Filter{Resource: topic, Pattern: kmsg.ACLResourcePatternTypeAny, Name: name("ab"), Operation: 1, Permission: 1}, []int{0}},
		{Filter{Resource: topic, Pattern: literal, Operation: 1, Permission: 1}, []int{0, 2}},
		{Filter{Resource: topic, Pattern: prefixed, Operation: 1, Permission: 1}, []int{1}},
		{Filter{Resource: topic, Pattern: literal, Name: name("ab"), Operation: 1, Permission: 1}, []int{0}},
		{Filter{Resource: topic, Pattern: prefixed, Name: name("ab"), Operation: 1, Permission: 1}, nil},
		{Filter{Resource: 1, Pattern: 1, Principal: name("User:a"), Operation: 1, Permission: 1}, []int{0, 2}},
		{Filter{Resource: 1, Pattern: 1, Operation: write, Permission: 1}, []int{1}},
		{Filter{Resource: 1, Pattern: 1, Operation: 1, Permission: deny}, []int{1}},
		{Filter{Resource: 1, Pattern: 1, Host: name("h"), Operation: 1, Permission: 1}, nil},
		{Filter{Resource: kmsg.ACLResourceTypeGroup, Pattern: 1, Operation: 1, Permission: 1}, nil},
	} {
		var got []int
		for j, b := range bindings {
			if c.f.Matches(b) {
				got = append(got, j)
			}
		}
		if !slices.Equal(got, c.want) || c.f.Fault() != "" {
			t.Errorf("filter %d: %v, want %v; %s", i, got, c.want, c.f.Fault())
		}
	}
	for _, f := range []Filter{{}, {Resource: 9, Pattern: 1, Operation: 1, Permission: 1}, {Resource: 1, Pattern: 5, Operation: 1, Permission: 1},
		{Resource: 1, Pattern: 1, Operation: 99, Permission: 1}, {Resource: 1, Pattern: 1, Operation: 1}} {
		if f.Fault() == "" {
			t.Errorf("%+v has no fault", f)
		}
	}
}

func TestBindingFaults(t *testing.T) {
	t.Parallel()
	sound := binding("t", literal, "User:a", read, allow)
	if sound.Fault() != "" {
		t.Error(sound.Fault())
	}
	for i, spoil := range []func(*Binding){
		func(b *Binding) { b.Resource = kmsg.ACLResourceTypeAny }, func(b *Binding) { b.Pattern = kmsg.ACLResourcePatternTypeMatch },
		func(b *Binding) { b.Name = "" }, func(b *Binding) { b.Resource = kmsg.ACLResourceTypeCluster },
		func(b *Binding) { b.Operation = kmsg.ACLOperationAny }, func(b *Binding) { b.Permission = kmsg.ACLPermissionTypeAny },
		func(b *Binding) { b.Host = "" }, func(b *Binding) { b.Principal = "alice" }, func(b *Binding) { b.Principal = ":alice" },
	} {
		b := sound
		if spoil(&b); b.Fault() == "" {
			t.Errorf("%d: %+v has no fault", i, b)
		}
	}
}

// FuzzReplay feeds damaged records: they are refused without a panic, and what is taken can be written and read again.
func FuzzReplay(f *testing.F) {
	f.Add(encodeSet("alice", CredentialOf(SHA256, 1, []byte("salt"), "secret")))
	f.Add(encodeRemove("alice", SHA512))
	f.Add(encodeBinding(recordAdd, binding("t", literal, "User:a", read, allow)))
	f.Add(encodeBinding(recordDrop, binding("t", prefixed, "User:a", read, deny)))
	f.Fuzz(func(t *testing.T, record []byte) {
		s := New()
		if s.Replay(record) != nil {
			return
		}
		if _, err := Describe(record); err != nil {
			t.Errorf("describe: %v", err)
		}
		var records, again [][]byte
		keep := func(to *[][]byte) func([]byte) error {
			return func(r []byte) error { *to = append(*to, r); return nil }
		}
		if err := s.Snapshot(keep(&records)); err != nil {
			t.Fatal(err)
		}
		o := New()
		for _, r := range records {
			if err := o.Replay(r); err != nil {
				t.Fatalf("snapshot of what was replayed: %v", err)
			}
		}
		if err := o.Snapshot(keep(&again)); err != nil || !slices.EqualFunc(records, again, bytes.Equal) {
			t.Errorf("the snapshot rebuilds another state: %v", err)
		}
	})
}

// TestDescribeHidesKeys: a dump shows nothing that could stand for a password (A3).
func TestDescribeHidesKeys(t *testing.T) {
	t.Parallel()
	c := CredentialOf(SHA256, MinIterations, []byte("the-salt"), "secret")
	it, err := Describe(encodeSet("alice", c))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(it), "{access.credential [{user alice} {mechanism SCRAM-SHA-256} {iterations 4096}]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestLimits: also within one draft, where what is there twice counts once.
func TestLimits(t *testing.T) {
	t.Parallel()
	s := New()
	for i := range maxUsers - 1 {
		s.set(fmt.Sprint(i), Credential{Mechanism: SHA256})
	}
	d := s.Draft()
	for _, c := range []struct {
		user string
		m    Mechanism
		want error
	}{{"last", SHA256, nil}, {"one more", SHA256, ErrTooMany}, {"last", SHA512, nil}, {"1", SHA512, nil}} {
		if record, err := d.SetCredential(c.user, Credential{Mechanism: c.m}); !errors.Is(err, c.want) || (record == nil) != (err != nil) {
			t.Errorf("%s: %v, %v", c.user, record, err)
		}
	}
	for i := range maxBindings - 1 {
		s.bindings[binding(fmt.Sprint(i), literal, "User:a", read, allow)] = struct{}{}
	}
	for _, c := range []struct {
		name string
		has  bool
		want error
	}{{"last", true, nil}, {"last", false, nil}, {"1", false, nil}, {"one more", false, ErrTooMany}} {
		if record, err := d.Add(binding(c.name, literal, "User:a", read, allow)); !errors.Is(err, c.want) || (record != nil) != c.has {
			t.Errorf("%s: %v, %v", c.name, record, err)
		}
	}
}

// TestUsualIterations: a user who is not there seems to have what most have.
func TestUsualIterations(t *testing.T) {
	t.Parallel()
	s := New()
	usual := func(m Mechanism) int32 {
		c, ok := s.Credential("nobody", m)
		if ok || c.StoredKey != nil {
			t.Error("nobody is there")
		}
		return c.Iterations
	}
	if n := usual(SHA256); n != 0 {
		t.Errorf("without users: %d", n)
	}
	for i, n := range []int32{8192, 5000, 5000, 6000, 6000} {
		s.set(fmt.Sprint(i), Credential{Mechanism: SHA256, Iterations: n})
	}
	s.set("x", Credential{Mechanism: SHA512, Iterations: 7000})
	if n, m := usual(SHA256), usual(SHA512); n != 5000 || m != 7000 {
		t.Errorf("%d, %d", n, m)
	}
	s.set("1", Credential{Mechanism: SHA256, Iterations: 6000})
	if n := usual(SHA256); n != 6000 {
		t.Errorf("after a change: %d", n)
	}
	for i := range 5 {
		s.unset(fmt.Sprint(i), SHA256)
		s.unset(fmt.Sprint(i), SHA256)
	}
	if n := usual(SHA256); n != 0 || len(s.iterations[SHA256]) != 0 || len(s.users) != 1 {
		t.Errorf("after all: %d, %v", n, s.iterations)
	}
}
