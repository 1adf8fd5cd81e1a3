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
	rules    atomic.Pointer[Rules] // nil once bindings have changed
}

// New returns an empty state.
func New() *State {
	s := &State{users: map[string]map[Mechanism]Credential{}, bindings: map[Binding]struct{}{}}
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

// Credential returns what is kept of a user for a mechanism.
func (s *State) Credential(user string, m Mechanism) (Credential, bool) {
	c, ok := s.users[user][m]
	return c, ok
}

// SetCredential returns the record that gives a user a credential.
func (s *State) SetCredential(user string, c Credential) ([]byte, error) {
	if s.users[user] == nil && len(s.users) >= maxUsers {
		return nil, ErrTooMany
	}
	return encodeSet(user, c), nil
}

// RemoveCredential returns the record that takes one away, or nil if it is not there.
func (s *State) RemoveCredential(user string, m Mechanism) []byte {
	if _, ok := s.users[user][m]; !ok {
		return nil
	}
	return encodeRemove(user, m)
}

// Add returns the record that adds a binding, or nil if it is there.
func (s *State) Add(b Binding) ([]byte, error) {
	if _, ok := s.bindings[b]; ok {
		return nil, nil
	}
	if len(s.bindings) >= maxBindings {
		return nil, ErrTooMany
	}
	return encodeBinding(recordAdd, b), nil
}

// Remove returns the record that removes a binding, or nil if it is not there.
func (s *State) Remove(b Binding) []byte {
	if _, ok := s.bindings[b]; !ok {
		return nil
	}
	return encodeBinding(recordDrop, b)
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
