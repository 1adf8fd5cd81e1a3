package access

import (
	"errors"
	"maps"
	"slices"
	"sync/atomic"
)

// The most users and bindings that are kept: they live in memory, and in every snapshot.
const (
	maxUsers    = 10_000
	maxBindings = 10_000
)

// ErrTooMany says that a limit of users or bindings is reached.
var ErrTooMany = errors.New("too many users or access control entries")

// State is all users and bindings. It is changed by Replay only. Whoever shares it locks it, but for Rules.
type State struct {
	users    map[string]map[Mechanism]Credential
	bindings map[Binding]struct{}
	// iterations counts the credentials of each mechanism by their iterations.
	iterations map[Mechanism]map[int32]int
	rules      atomic.Pointer[Rules] // of the bindings at the last Refresh
}

// New returns an empty state.
func New() *State {
	s := &State{users: map[string]map[Mechanism]Credential{}, bindings: map[Binding]struct{}{},
		iterations: map[Mechanism]map[int32]int{SHA256: {}, SHA512: {}}}
	s.rules.Store(&Rules{})
	return s
}

// Rules returns the present rules. It may be called without the lock.
func (s *State) Rules() *Rules { return s.rules.Load() }

// Refresh makes the rules anew after bindings were replayed.
func (s *State) Refresh() { s.rules.Store(newRules(s.bindings)) }

// Users returns all names, sorted.
func (s *State) Users() []string { return slices.Sorted(maps.Keys(s.users)) }

// Credentials returns what is kept of a user, by mechanism.
func (s *State) Credentials(user string) []Credential {
	all := s.users[user]
	out := make([]Credential, 0, len(all))
	for _, m := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[m])
	}
	return out
}

// Credential is the Finder of what is kept. A user who is not there would be expected to have the iterations that most have, the fewer
// where two are alike.
func (s *State) Credential(user string, m Mechanism) (Credential, bool) {
	if c, ok := s.users[user][m]; ok {
		return c, true
	}
	usual, most := int32(0), 0
	for n, count := range s.iterations[m] {
		if count > most || count == most && n < usual {
			usual, most = n, count
		}
	}
	return Credential{Iterations: usual}, false
}

// set and unset are the only ones who change credentials.
func (s *State) set(user string, c Credential) {
	s.unset(user, c.Mechanism)
	if s.users[user] == nil {
		s.users[user] = map[Mechanism]Credential{}
	}
	s.users[user][c.Mechanism] = c
	s.iterations[c.Mechanism][c.Iterations]++
}

func (s *State) unset(user string, m Mechanism) {
	c, ok := s.users[user][m]
	if !ok {
		return
	}
	if s.iterations[m][c.Iterations]--; s.iterations[m][c.Iterations] == 0 {
		delete(s.iterations[m], c.Iterations)
	}
	if delete(s.users[user], m); len(s.users[user]) == 0 {
		delete(s.users, user)
	}
}

// RemoveCredential returns the record that takes one away, or nil if it is not there.
func (s *State) RemoveCredential(user string, m Mechanism) []byte {
	if _, ok := s.users[user][m]; !ok {
		return nil
	}
	return encodeRemove(user, m)
}

// Remove returns the record that removes a binding, or nil if it is not there.
func (s *State) Remove(b Binding) []byte {
	if _, ok := s.bindings[b]; !ok {
		return nil
	}
	return encodeBinding(recordDrop, b)
}

// Draft makes the records of one request, and counts what they add: nothing of it is in the state before they are replayed.
type Draft struct {
	state    *State
	users    map[string]struct{}
	bindings map[Binding]struct{}
}

// Draft returns one without records.
func (s *State) Draft() *Draft {
	return &Draft{state: s, users: map[string]struct{}{}, bindings: map[Binding]struct{}{}}
}

// SetCredential returns the record that gives a user a credential, or ErrTooMany.
func (d *Draft) SetCredential(user string, c Credential) ([]byte, error) {
	if _, drafted := d.users[user]; !drafted && d.state.users[user] == nil {
		if len(d.state.users)+len(d.users) >= maxUsers {
			return nil, ErrTooMany
		}
		d.users[user] = struct{}{}
	}
	return encodeSet(user, c), nil
}

// Add returns the record that adds a binding, nil if it is there, or ErrTooMany.
func (d *Draft) Add(b Binding) ([]byte, error) {
	if _, ok := d.state.bindings[b]; ok {
		return nil, nil
	}
	if _, ok := d.bindings[b]; ok {
		return nil, nil
	}
	if len(d.state.bindings)+len(d.bindings) >= maxBindings {
		return nil, ErrTooMany
	}
	d.bindings[b] = struct{}{}
	return encodeBinding(recordAdd, b), nil
}

// Matching returns the bindings that a filter chooses, in order.
func (s *State) Matching(f Filter) []Binding {
	var out []Binding
	for b := range s.bindings {
		if f.Matches(b) {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, compareBindings)
	return out
}
