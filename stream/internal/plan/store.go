package plan

import (
	"fmt"

	"github.com/millrace-io/millrace/state"
)

// checkStores returns the store names that are used twice: two stores of one name would share a changelog.
func checkStores(stores []*state.Spec) []error {
	var errs []error
	seen := map[string]bool{}
	for _, s := range stores {
		if seen[s.Name] {
			errs = append(errs, fmt.Errorf("store %s: the name is used twice, and two stores cannot share a changelog; give one of the two another name", s.Name))
		}
		seen[s.Name] = true
	}
	return errs
}
