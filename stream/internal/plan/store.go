package plan

// checkStores returns the store names that are used twice: two stores of one name would share a changelog.
func (g *Graph) checkStores() []error {
	var errs []error
	seen := map[string]bool{}
	for i, s := range g.stores {
		if seen[s.Name] {
			errs = append(errs, at(g.storeLines[i], "store %s: the name is used twice, and two stores cannot share a changelog; give one of the two another name", s.Name))
		}
		seen[s.Name] = true
	}
	return errs
}
