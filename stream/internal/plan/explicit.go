package plan

import "regexp"

// madeUp matches names of stores and repartition topics that nobody chose.
var madeUp = regexp.MustCompile(`^(KSTREAM|KTABLE|COGROUPKSTREAM)-.*[0-9]{10}|-STATE-STORE-[0-9]{10}$`)

// RequireNames refuses stores and internal topics with generated names.
func (g *Graph) RequireNames() { g.explicit = true }

// checkExplicit returns an error for each generated name of a store or of an internal topic, if they are refused. The rows of a source topic are
// called after that.
func (g *Graph) checkExplicit() []error {
	if !g.explicit {
		return nil
	}
	var errs []error
	for i, s := range g.stores {
		if s.SourceTopic == "" && madeUp.MatchString(s.Name) {
			errs = append(errs, at(g.storeLines[i], "store %s: its name is generated, and would change with the program: name the store, by Materialized, "+
				"StoreNamed or StoresNamed, or its operator", s.Name))
		}
	}
	for _, n := range g.nodes {
		if n.via != nil && madeUp.MatchString(n.via.Topic.Name) {
			errs = append(errs, at(n.Line, "repartition topic %s: its name is generated, and would change with the program: name the grouping, "+
				"the join or the repartition by Named", n.via.Topic.Topic()))
		}
	}
	return errs
}
