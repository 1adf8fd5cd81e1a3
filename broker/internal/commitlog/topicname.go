package commitlog

import (
	"fmt"
	"strings"
)

// checkTopicName returns an error that wraps ErrInvalidTopicName unless Kafka takes the name.
func checkTopicName(name string) error {
	reason := ""
	switch {
	case name == "":
		reason = "it is empty"
	case name == "." || name == "..":
		reason = "it is " + name
	case len(name) > 249:
		reason = "it is longer than 249 characters"
	case strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	}):
		reason = "it has a character other than letters, digits, '.', '_' and '-'"
	default:
		return nil
	}
	return fmt.Errorf("%w %q: %s", ErrInvalidTopicName, name, reason)
}

// collisionKey is equal for names that Kafka holds to be too alike: they differ in '.' and '_' only, which metrics mix up.
func collisionKey(name string) string { return strings.ReplaceAll(name, ".", "_") }
